"""The routes of deliveries: look, send again, give up."""

from __future__ import annotations

from collator.tokens import Role
from collator.web.deliveries import (
    DeliveryOrder,
    DeliveryView,
    ListedState,
    Replay,
    ReplayDone,
    ReplayedDelivery,
    WebhookPage,
)
from collator.web.options import moment, number, text, word
from collator.web.problems import ProblemType
from collator.web.routes.route import JSON, STORE_PROBLEMS, Route, RouteReply

_DELIVERY = "/v1/deliveries/{delivery_id}"
_AS_IT_IS = {200: RouteReply(says="The delivery, as it is then.", content={JSON: DeliveryView})}

LIST_DELIVERIES = Route(
    name="listDeliveries",
    method="GET",
    path="/v1/deliveries",
    role=Role.READ,
    own=True,
    says="List deliveries, in the order in which they were created, or against it.",
    more="A page may be short, or empty, with others behind it: go on until `next_cursor` is null.",
    options=(
        word("state", "Only those in this state.", ListedState),
        text("endpoint", "Only those to the endpoint of this name.", default=None),
        text("webhook_id", "Only those under this webhook id, to whatever endpoint.", default=None),
        text("resource_id", "Only those of this resource.", default=None),
        text("prefix", "Only those of resources whose id begins with this prefix."),
        moment("since", "Only those of resources that ended at this time or later."),
        moment("until", "Only those of resources that ended at this time or before."),
        text("reason", "Only those with this text in how the last attempt ended, such as `HTTP 503`.", default=None),
        word("order", "Whether the oldest come first or the newest.", DeliveryOrder, default=DeliveryOrder.OLDEST),
        text("cursor", "Where the page begins: `next_cursor` of the previous page."),
        number("limit", "Maximum number of entries.", least=1, most=1000, default=100),
    ),
    replies={200: RouteReply(says="A page.", content={JSON: WebhookPage})},
)

REPLAY_DELIVERIES = Route(
    name="replayDeliveries",
    method="POST",
    path="/v1/deliveries/replay",
    role=Role.ADMIN,
    says="Send deliveries again that have ended: all that fit what is said.",
    more=(
        "At least one member has to say which; `state` is `dead` where it does not say another. Id and body stay as "
        "they were. One request takes on a bounded number: repeat it with `cursor` until `next_cursor` is null."
    ),
    body={JSON: Replay},
    replies={200: RouteReply(says="How many are due again.", content={JSON: ReplayDone})},
    problems=(ProblemType.UNKNOWN, *STORE_PROBLEMS),
)

GET_DELIVERY = Route(
    name="getDelivery",
    method="GET",
    path=_DELIVERY,
    role=Role.READ,
    own=True,
    says="Look at a delivery: its state, its attempts with their answers, and what it waits for.",
    replies={200: RouteReply(says="The delivery.", content={JSON: DeliveryView})},
    problems=(ProblemType.UNKNOWN,),
)

REPLAY_DELIVERY = Route(
    name="replayDelivery",
    method="POST",
    path=f"{_DELIVERY}/replay",
    role=Role.ADMIN,
    says="Send a delivery again that has ended, delivered or dead. One that is due stays as it is.",
    replies={200: RouteReply(says="The delivery, as it is then, and was.", content={JSON: ReplayedDelivery})},
    problems=(ProblemType.UNKNOWN, *STORE_PROBLEMS),
)

STOP_DELIVERY = Route(
    name="stopDelivery",
    method="POST",
    path=f"{_DELIVERY}/stop",
    role=Role.ADMIN,
    says="Give up a delivery that is due: it is dead then, and can be replayed. Repeating it changes nothing.",
    replies=_AS_IT_IS,
    problems=(ProblemType.UNKNOWN, ProblemType.ENDED, *STORE_PROBLEMS),
)

DELIVERIES = (LIST_DELIVERIES, REPLAY_DELIVERIES, GET_DELIVERY, REPLAY_DELIVERY, STOP_DELIVERY)
