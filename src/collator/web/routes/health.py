"""The routes for monitoring."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST

from collator.tokens import Role
from collator.web.health import Alive, Ready, ServiceStatus
from collator.web.problems import ProblemType
from collator.web.routes.route import JSON, Route, RouteReply

_TEXT = {"type": "string"}

HEALTH = (
    Route(
        name="getHealth",
        method="GET",
        path="/healthz",
        role=None,  # what restarts a service that hangs has no token, and learns nothing here
        says="Whether the service is alive; touches nothing.",
        replies={200: RouteReply(says="It is.", content={JSON: Alive})},
    ),
    Route(
        name="getReadiness",
        method="GET",
        path="/readyz",
        role=None,  # a load balancer has no token, and has to know
        says="Whether packets should be sent here.",
        replies={200: RouteReply(says="They should.", content={JSON: Ready})},
        problems=(ProblemType.NOT_READY,),
    ),
    Route(
        name="getStatus",
        method="GET",
        path="/v1/status",
        role=Role.READ,
        says="How the service is, and how much it holds.",
        replies={200: RouteReply(says="The status.", content={JSON: ServiceStatus})},
    ),
    Route(
        name="getMetrics",
        method="GET",
        path="/metrics",
        role=Role.READ,
        says="Everything that is counted, in the text format of Prometheus.",
        replies={200: RouteReply(says="The metrics.", content={CONTENT_TYPE_LATEST: _TEXT})},
    ),
    Route(
        name="getDescription",
        method="GET",
        path="/openapi.json",
        role=Role.READ,
        own=True,
        says="This description.",
        replies={200: RouteReply(says="OpenAPI 3.1.", content={JSON: {"type": "object"}})},
    ),
)
