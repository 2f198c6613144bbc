"""The routes of resources: look, repair, forget."""

from __future__ import annotations

from collator.packet import MAX_INDEX
from collator.states import State
from collator.tokens import Role
from collator.web.event_text import Order
from collator.web.options import flag, moment, number, seconds, text, word
from collator.web.outputs import OutputsPage
from collator.web.packet_page import PacketView
from collator.web.problems import ProblemType
from collator.web.resources import Completion, Purged, ResourceOrder, ResourcePage, ResourceState, ResourceView
from collator.web.retries import Retried, RetryDone, RetryMany
from collator.web.routes.route import EVENTS, JSON, STORE_PROBLEMS, Route, RouteReply
from collator.web.tickets import Ticket

_RESOURCE = "/v1/resources/{resource_id}"
_AS_IT_IS = {200: RouteReply(says="The resource, as it is then.", content={JSON: ResourceView})}
_MOST = 2**53
_EVENT = {
    "type": "object",
    "required": ["event", "data", "id"],
    "properties": {
        "event": {"enum": ["output", "failed", "partial", "end", "reset"]},
        "data": {"type": "string", "contentMediaType": JSON},
        "id": {"type": "string"},
    },
}
_READING = (ProblemType.UNKNOWN, ProblemType.DAMAGED)
_WRITING = (ProblemType.UNKNOWN, *STORE_PROBLEMS)

LIST_RESOURCES = Route(
    name="listResources",
    method="GET",
    path="/v1/resources",
    role=Role.READ,
    own=True,
    says="List resources, in order of id, or by when they were opened.",
    more=(
        "A page has up to some 200 KiB, and 250 resources by time, whatever `limit` says, and may be empty with others "
        "behind it: go on until `next_cursor` is null. Where nothing is said but `state` and `prefix`, they are in "
        "order of id, else the newest come first. With `undelivered`, what counts is when they ended."
    ),
    options=(
        word("state", "Only those in this state.", State),
        text("prefix", "Only those whose id begins with this prefix."),
        word("order", "By `id`, or the `newest` or the `oldest` first.", ResourceOrder),
        moment("opened_since", "Only those that were opened at this time or later."),
        moment("opened_until", "Only those that were opened at this time or before."),
        moment("ended_since", "Only those that ended at this time or later."),
        moment("ended_until", "Only those that ended at this time or before."),
        flag("failed", "Only those with packets that failed."),
        flag("undelivered", "Only those with a delivery that is due or dead."),
        text("cursor", "Where the page begins: `next_cursor` of the previous page."),
        number("limit", "Maximum number of entries.", least=1, most=1000, default=100),
    ),
    replies={200: RouteReply(says="A page.", content={JSON: ResourcePage})},
)

GET_RESOURCE = Route(
    name="getResource",
    method="GET",
    path=_RESOURCE,
    role=Role.READ,
    says="Look at a resource: counts, ranges, reasons, times, deliveries, and why it is not delivered yet.",
    more=(
        "Of what there is much of, the first are listed, and how many more there are: 1,000 ranges, 100 failures and "
        "100 deliveries. Its outputs, by `after_seq`, have all failures, and the list of deliveries has all of them."
    ),
    replies={200: RouteReply(says="The resource.", content={JSON: ResourceView})},
    problems=_READING,
)

GET_OUTPUTS = Route(
    name="getOutputs",
    method="GET",
    path=f"{_RESOURCE}/outputs",
    role=Role.READ,
    says="Take the outputs that there are, in index order, or follow them as they come.",
    more=(
        "By `cursor`, pages in index order, for a resource that has ended. By `after_seq`, outcomes in the order in "
        "which they were recorded, failures included: who goes on at `after_seq` of the answer until `more` is false "
        "sees each outcome once, whatever order the indexes come in. `wait` has the answer wait for one. A page has up "
        "to 1,000 outputs and some 200 KiB, whatever `limit` says; an output that is larger stands alone in one."
    ),
    options=(
        number(
            "cursor",
            "An index: the outputs behind it. `next_cursor` of the page before. Ignored with `after_seq`.",
            least=0,
            most=MAX_INDEX,
        ),
        number("limit", "How many, at most; a page holds no more than 1,000.", least=1, most=MAX_INDEX),
        number(
            "after_seq", "A `seq`: the outcomes behind it, from 0. `after_seq` of the page before.", least=0, most=_MOST
        ),
        seconds(
            "wait",
            "Seconds to wait where nothing is behind `after_seq` and the resource is open.",
            most=60,
        ),
        text(
            "webhook_id",
            "The webhook id of the previous page; a conflict if the resource was opened again since then.",
            default=None,
        ),
    ),
    replies={200: RouteReply(says="The outputs.", content={JSON: OutputsPage})},
    problems=(*_READING, ProblemType.CONFLICT, ProblemType.UNAVAILABLE),
)

GET_EVENTS = Route(
    name="getEvents",
    method="GET",
    path=f"{_RESOURCE}/events",
    role=Role.READ,
    is_stream=True,
    says="Follow a resource as server-sent events, as `EventSource` of a browser takes them.",
    more=(
        "Events `output` and `failed` as outcomes are recorded, and `end`, with which the stream ends; `reset` where "
        "the resource was opened again: forget what came before. `partial`, without an id, is what the processor has "
        "before the output of a packet; the next one of that `index` takes its place. It may be asked for before the "
        "first packet. `id` of an event is its `seq`; who sends it as `Last-Event-ID` goes on behind it. A comment "
        "comes every 15 seconds."
    ),
    options=(
        word(
            "order",
            "`index`: outputs in the order of their indexes, as far as there is no gap, and their indexes as ids.",
            Order,
        ),
        number("after_seq", "A `seq`: the outcomes behind it. Ignored with `Last-Event-ID`.", least=0, most=_MOST),
        number("cursor", "With `order=index`, an index: the outputs behind it.", least=0, most=MAX_INDEX),
        text(
            "webhook_id",
            "Follow this generation of the resource alone; a conflict if it was opened again since then.",
            default=None,
        ),
        text("ticket", "A ticket for these events, instead of a token.", default=None),
    ),
    replies={
        200: RouteReply(
            says="The events; `data` of each is JSON on one or more lines.",
            content={EVENTS: _EVENT},
        ),
        204: RouteReply(says="The end was read, and nothing came since: do not come again.", content={}),
    },
    problems=(*_READING, ProblemType.CONFLICT, ProblemType.UNAVAILABLE),
)

CREATE_TICKET = Route(
    name="createTicket",
    method="POST",
    path=f"{_RESOURCE}/ticket",
    role=Role.READ,
    says="Create a ticket for the events of a resource, for a page in a browser.",
    more=(
        "`EventSource` cannot send a token: it opens `/v1/resources/{resource_id}/events?ticket=…`. A ticket is "
        "for this resource alone, and for a minute; a stream that is open goes on. It is good at the node that created "
        "it, until its restart, or at all nodes with the same `ticket_secret_file`."
    ),
    replies={200: RouteReply(says="The ticket.", content={JSON: Ticket})},
)

GET_PACKET = Route(
    name="getPacket",
    method="GET",
    path=f"{_RESOURCE}/packets/{{index}}",
    role=Role.READ,
    says="Look at one packet: its payload, what became of it, and why its last attempt failed.",
    more="Where the service hides payloads (`hide_payloads`), `payload` is not there.",
    replies={200: RouteReply(says="The packet.", content={JSON: PacketView})},
    problems=(*_READING, ProblemType.UNAVAILABLE),
)

COMPLETE_RESOURCE = Route(
    name="completeResource",
    method="POST",
    path=f"{_RESOURCE}/complete",
    role=Role.SEND,
    says="Say how many packets a resource has, or close it now.",
    more=(
        "`total` ends a resource whose last packet was not known in advance. `force` requires the role "
        "`admin` and closes at once: as "
        "collated where nothing is missing, else as incomplete. Repeating it changes nothing. `total: 0` ends "
        "a resource without packets, collated and empty; one that is unknown is opened and closed in one step."
    ),
    body={JSON: Completion},
    examples={JSON: {"total": 2}},
    replies={
        200: RouteReply(
            says="The resource, as it is then; its state alone for a token without the role `read`.",
            content={JSON: (ResourceView, ResourceState)},
        )
    },
    told={Role.SEND: ResourceState, Role.READ: ResourceView, Role.ADMIN: ResourceView},
    problems=(*_WRITING, ProblemType.CONFLICT, ProblemType.STORAGE_LOW),
)

CANCEL_RESOURCE = Route(
    name="cancelResource",
    method="POST",
    path=f"{_RESOURCE}/cancel",
    role=Role.ADMIN,
    says="End an open resource without a webhook. Repeating it changes nothing.",
    replies=_AS_IT_IS,
    problems=(*_WRITING, ProblemType.ENDED),
)

RETRY_RESOURCE = Route(
    name="retryResource",
    method="POST",
    path=f"{_RESOURCE}/retry",
    role=Role.ADMIN,
    says="Give packets that have no output a new set of attempts.",
    more=(
        "Of an open resource: those that failed. One that ended as `incomplete` is opened again, if packets that it "
        "had received have no output: as a new generation of the same packets, with the outputs that are there. Its "
        "webhook has a new id, and `supersedes` the id of the one before, which stays as it is. Repeating it changes "
        "nothing."
    ),
    replies={200: RouteReply(says="How many packets that were.", content={JSON: Retried})},
    problems=(*_WRITING, ProblemType.ENDED, ProblemType.STORAGE_LOW),
)

RETRY_RESOURCES = Route(
    name="retryResources",
    method="POST",
    path="/v1/resources/retry",
    role=Role.ADMIN,
    says="Retry resources that have packets without an output: all that fit what is said.",
    more=(
        "At least one member has to say which; `state` is `incomplete` where it does not say another. `dry_run` counts "
        "them and changes nothing. One request takes on a bounded number: repeat it with `cursor` until `next_cursor` "
        "is null. Where a limit allows no other, it stops, and the next request says why."
    ),
    body={JSON: RetryMany},
    replies={200: RouteReply(says="How many are tried again.", content={JSON: RetryDone})},
    problems=(*STORE_PROBLEMS, ProblemType.STORAGE_LOW),
)

PURGE_RESOURCE = Route(
    name="purgeResource",
    method="DELETE",
    path=_RESOURCE,
    role=Role.ADMIN,
    says="Delete a resource that has ended, with its packets, outputs and deliveries.",
    more="Refused while it is open (cancel it first) or has a due delivery (give it up first). Its id is free then.",
    replies={200: RouteReply(says="It is deleted.", content={JSON: Purged})},
    problems=(*_WRITING, ProblemType.CONFLICT),
)

RESOURCES = (
    LIST_RESOURCES,
    GET_RESOURCE,
    GET_OUTPUTS,
    GET_EVENTS,
    CREATE_TICKET,
    GET_PACKET,
    COMPLETE_RESOURCE,
    CANCEL_RESOURCE,
    RETRY_RESOURCE,
    RETRY_RESOURCES,
    PURGE_RESOURCE,
)
