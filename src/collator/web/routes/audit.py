"""The route of the audit log."""

from __future__ import annotations

from collator.tokens import Role
from collator.web.audit import AuditList
from collator.web.options import number
from collator.web.routes.route import JSON, Route, RouteReply

LIST_AUDIT = Route(
    name="listAudit",
    method="GET",
    path="/v1/audit",
    role=Role.ADMIN,
    says="List administrative actions and refused tokens, the latest first.",
    more="The latest 10,000 acts are kept, and the latest 1,000 refusals, for `remember` at most.",
    options=(
        number("cursor", "Where the page begins: `next_cursor` of the previous page.", least=0, most=2**53),
        number("limit", "Maximum number of entries.", least=1, most=1000, default=100),
    ),
    replies={200: RouteReply(says="A page.", content={JSON: AuditList})},
)
