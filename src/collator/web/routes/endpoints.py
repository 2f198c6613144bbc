"""The routes of endpoints: look, pause, go on, try, test."""

from __future__ import annotations

from collator.messages import ReceiverAnswer
from collator.tokens import Role
from collator.web.endpoints import EndpointList, EndpointView, TriedEndpoint
from collator.web.options import number, text
from collator.web.problems import ProblemType
from collator.web.routes.route import JSON, STORE_PROBLEMS, Route, RouteReply

_ENDPOINT = "/v1/endpoints/{endpoint}"
_AS_IT_IS = {200: RouteReply(says="The endpoint, as it is then.", content={JSON: EndpointView})}
_PROBLEMS = (ProblemType.UNKNOWN, *STORE_PROBLEMS)

ENDPOINTS = (
    Route(
        name="listEndpoints",
        method="GET",
        path="/v1/endpoints",
        role=Role.READ,
        says="List the endpoints, and why nothing is sent to one at the moment.",
        options=(
            text("cursor", "Where the page begins: `next_cursor` of the previous page."),
            number("limit", "Maximum number of entries.", least=1, most=1000, default=100),
        ),
        replies={200: RouteReply(says="A page.", content={JSON: EndpointList})},
    ),
    Route(
        name="pauseEndpoint",
        method="POST",
        path=f"{_ENDPOINT}/pause",
        role=Role.ADMIN,
        says="Send nothing to an endpoint until it is resumed, over restarts. Repeating it changes nothing.",
        more="What is due to it stays due. A receiver that answers 410 pauses its endpoint too.",
        replies=_AS_IT_IS,
        problems=_PROBLEMS,
    ),
    Route(
        name="resumeEndpoint",
        method="POST",
        path=f"{_ENDPOINT}/resume",
        role=Role.ADMIN,
        says="Send again what is due to an endpoint that is paused. Repeating it changes nothing.",
        replies=_AS_IT_IS,
        problems=_PROBLEMS,
    ),
    Route(
        name="tryEndpoint",
        method="POST",
        path=f"{_ENDPOINT}/try",
        role=Role.ADMIN,
        says="Attempt the next delivery to an endpoint at once, whatever it waits for.",
        more=(
            "It ends the pause of an open breaker, and one that the receiver asked for, on the node that answers. If a "
            "breaker is open the attempt is its probe, and uses up no attempt; if not, it is one of the attempts."
        ),
        replies={200: RouteReply(says="The endpoint, as it is then.", content={JSON: TriedEndpoint})},
        problems=(*_PROBLEMS, ProblemType.CONFLICT),
    ),
    Route(
        name="testEndpoint",
        method="POST",
        path=f"{_ENDPOINT}/test",
        role=Role.ADMIN,
        says="Send a webhook of the type `test` to the receiver of an endpoint, and tell what it said.",
        more=(
            "It is signed and sent as all others, also while the endpoint is paused or a breaker is open, and is "
            "recorded in the audit log alone. One at a time for each endpoint."
        ),
        replies={200: RouteReply(says="What the receiver said, whatever it is.", content={JSON: ReceiverAnswer})},
        problems=(*_PROBLEMS, ProblemType.CONFLICT, ProblemType.BUSY),
    ),
)
