"""The route of streams over WebSocket."""

from __future__ import annotations

from collator.tokens import Role
from collator.web.problems import ProblemType
from collator.web.routes.route import Route, RouteReply

OPEN_STREAM = Route(
    name="openStream",
    method="GET",
    path="/v1/stream",
    role=Role.SEND,
    own=True,
    is_stream=True,
    says="Send packets over WebSocket, and follow what becomes of them.",
    more=(
        "OpenAPI does not describe the messages: the page `docs/stream.md` does. A packet that was acknowledged "
        "survives a crash and a power cut."
    ),
    replies={101: RouteReply(says="The connection speaks WebSocket from here on.", content={})},
    problems=(
        ProblemType.UPGRADE_REQUIRED,
        ProblemType.UNAVAILABLE,
        ProblemType.READ_ONLY,
        ProblemType.STORAGE_FULL,
        ProblemType.STORAGE_LOW,
    ),
)
