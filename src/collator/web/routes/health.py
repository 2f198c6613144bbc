"""The routes for monitoring."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST

from collator.notices import EventKind
from collator.tokens import Role
from collator.web.health import Alive, Ready, ServiceStatus
from collator.web.options import words
from collator.web.problems import ProblemType
from collator.web.routes.route import EVENTS, JSON, Route, RouteReply

_TEXT = {"type": "string"}
_EVENT = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "event": {"enum": [str(kind) for kind in EventKind]},
        "data": {"type": "string", "contentMediaType": JSON},
    },
}

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
        name="getServiceEvents",
        method="GET",
        path="/v1/events",
        role=Role.READ,
        is_stream=True,
        says="Follow what happens in this service, as server-sent events.",
        more=(
            "A `tick` each second says how much of everything there was since the one before. Everything else comes "
            "within 0.1 seconds; what is alike is one event with its `count`. A stream begins with the present; events "
            "have no ids, and nothing is resumed. `action` is for the role `admin` alone."
        ),
        options=(words("kinds", "Only these events, with commas between them.", EventKind),),
        replies={200: RouteReply(says="The events; `data` of each is JSON on one line.", content={EVENTS: _EVENT})},
        problems=(ProblemType.UNAVAILABLE,),
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
