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
        says="Tell whether the process is alive, without any access to the store.",
        replies={200: RouteReply(says="The process is alive.", content={JSON: Alive})},
    ),
    Route(
        name="getReadiness",
        method="GET",
        path="/readyz",
        role=None,  # a load balancer has no token, and has to know
        says="Tell whether the service is ready for packets.",
        replies={200: RouteReply(says="The service is ready.", content={JSON: Ready})},
        problems=(ProblemType.NOT_READY,),
    ),
    Route(
        name="getStatus",
        method="GET",
        path="/v1/status",
        role=Role.READ,
        says="Show the state of the service, and how much it stores.",
        replies={200: RouteReply(says="The status.", content={JSON: ServiceStatus})},
    ),
    Route(
        name="getMetrics",
        method="GET",
        path="/metrics",
        role=Role.READ,
        says="Get all metrics, in the text format of Prometheus.",
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
