"""Every route of the HTTP app, declared: what it takes, which role it needs, what it answers.

To add one: declare it in the module of its subject, list it here, and name its handler in `collator.web.pages`.
"""

from __future__ import annotations

from collator.web.routes.audit import LIST_AUDIT
from collator.web.routes.deliveries import DELIVERIES
from collator.web.routes.endpoints import ENDPOINTS
from collator.web.routes.health import HEALTH
from collator.web.routes.packets import POST_PACKETS, PUT_PACKET
from collator.web.routes.resources import RESOURCES
from collator.web.routes.route import Route, RouteReply, problems_of
from collator.web.routes.stream import OPEN_STREAM

_PACKETS = (POST_PACKETS, PUT_PACKET, OPEN_STREAM)
ROUTES: tuple[Route, ...] = (*_PACKETS, *RESOURCES, *DELIVERIES, *ENDPOINTS, LIST_AUDIT, *HEALTH)

__all__ = ["OPEN_STREAM", "POST_PACKETS", "ROUTES", "Route", "RouteReply", "problems_of"]
