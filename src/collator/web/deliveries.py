"""`/v1/deliveries`: look at deliveries, send them again, give one up. Thin: the ledger decides."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from functools import partial
from operator import attrgetter
from os.path import commonprefix

import msgspec

from collator.errors import Malformed
from collator.messages import DeliveryDetail, DeliveryFilter, DeliveryReport
from collator.paging import PAGE
from collator.seams.ledger import Ledger
from collator.seams.operations import Operations
from collator.seams.outbox import Outbox
from collator.states import DeliveryState
from collator.text import quoted
from collator.web.audit import acting, target_of
from collator.web.auth import check_reach, reachable, within
from collator.web.diagnosis import why_waiting
from collator.web.options import AwareDatetime
from collator.web.request_body import HttpAnswer, RequestBody, answer_json
from collator.web.steps import take_steps

_SMALL = 64 * 1024  # bytes of a body that says which
_SLICE = 1000  # deliveries that are replayed in one step, so that no packet waits long behind it
_STEPS = 100  # steps of one request


class ListedState(StrEnum):
    """A state that a list can be of: who holds a lease is not stored."""

    DUE = "due"
    DELIVERED = "delivered"
    DEAD = "dead"


class DeliveryOrder(StrEnum):
    """An order of deliveries, by when they were created."""

    OLDEST = "oldest"
    NEWEST = "newest"


class EndedState(StrEnum):
    """A state out of which a delivery can be replayed."""

    DEAD = "dead"
    DELIVERED = "delivered"


class DeliveryView(DeliveryDetail, frozen=True, kw_only=True):
    """A delivery, as its page shows it."""

    why_undelivered: str | None
    """What has to happen before it is delivered, in words; null once it is."""


class ReplayedDelivery(DeliveryView, frozen=True, kw_only=True):
    """A delivery that was to be sent again."""

    was: ListedState
    """Its state before; `due`: nothing was changed."""


class WebhookPage(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of the list of deliveries."""

    deliveries: Sequence[DeliveryReport]
    next_cursor: str | None
    """Where the next page begins; null where there is no more."""


class Replay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The deliveries to be sent again: those that fit all that is said."""

    state: EndedState | None = None
    """`dead` where nothing else is said."""
    endpoint: str | None = None
    """The name of the endpoint."""
    resource_id: str | None = None
    """The resource."""
    prefix: str | None = ""
    """What the id of the resource begins with."""
    since: AwareDatetime | None = None
    """Resources that ended then or later."""
    until: AwareDatetime | None = None
    """Resources that ended then or before."""
    reason: str | None = None
    """A text in how the last attempt ended."""
    cursor: str | None = ""
    """Where to go on: `next_cursor` of the answer before, to the same question."""


class ReplayDone(msgspec.Struct, frozen=True):
    """The result of a replay."""

    replayed: int
    """Deliveries that are due again."""
    next_cursor: str | None
    """Where to go on; null where all is done."""


class Deliveries:
    """The pages of deliveries."""

    def __init__(self, ledger: Ledger, outbox: Outbox) -> None:
        """Look into *ledger*; tell *outbox* what is due again."""
        self._ledger, self._operations = ledger, Operations()
        self._outbox = outbox
        self._replay = msgspec.json.Decoder(Replay)

    async def index(
        self,
        request: RequestBody,
        *,
        state: ListedState | None,
        endpoint: str | None,
        webhook_id: str | None,
        resource_id: str | None,
        prefix: str,
        since: float | None,
        until: float | None,
        reason: str | None,
        order: DeliveryOrder,
        cursor: str,
        limit: int,
    ) -> HttpAnswer:
        """A page of those that fit, from the *cursor* on."""
        own = within(request.caller, prefix)
        check_reach(request.caller, [resource_id] if resource_id is not None else ())
        if not own:
            return answer_json(WebhookPage(deliveries=(), next_cursor=None))
        wanted = DeliveryFilter(
            state=None if state is None else DeliveryState(state),
            endpoint=endpoint,
            webhook_id=webhook_id,
            resource_id=resource_id,
            prefix=commonprefix(own),  # noqa: RUF071 - of texts, not of paths
            since=since,
            until=until,
            reason=reason,
            newest=order is DeliveryOrder.NEWEST,
        )

        async def look(after: str) -> tuple[Sequence[DeliveryReport], str | None]:
            page = await self._ledger.deliveries(wanted, after=after, limit=limit, size=PAGE)
            return page.deliveries, page.after

        shown, behind = await reachable(own, cursor, look)
        return answer_json(WebhookPage(deliveries=shown, next_cursor=behind))

    async def show(self, request: RequestBody, *, delivery_id: str) -> HttpAnswer:
        """All that there is to know of one. `Unknown`."""
        detail = await self._ledger.delivery(delivery_id)
        check_reach(request.caller, [detail.resource_id], what=f"delivery {quoted(delivery_id)}")
        return answer_json(self._view(detail))

    async def replay_many(self, request: RequestBody) -> HttpAnswer:
        """Make those that fit due again, as many as one request may. `Unknown`."""
        wanted, after = await self._wanted(request)
        done = ReplayDone(0, after)
        async with acting(self._ledger, request, "replay", "deliveries replayed", target=target_of(wanted)):
            done = await take_steps(partial(self._step, wanted), done, most=_STEPS, number=attrgetter("replayed"))
        return answer_json(done)

    async def _step(self, wanted: DeliveryFilter, done: ReplayDone) -> ReplayDone:
        """Take the step behind what is *done*: all that is done then."""
        after = done.next_cursor or ""
        step = await self._operations.certain(self._ledger.replay, wanted, after=after, limit=_SLICE)
        self._outbox.take((), step.endpoints)
        return ReplayDone(done.replayed + step.replayed, step.after)

    async def replay(self, request: RequestBody, *, delivery_id: str) -> HttpAnswer:
        """Make one due again (R24); the delivery as it is then. `Unknown`."""
        await request.nothing()
        async with acting(self._ledger, request, "replay", "delivery replayed", target=delivery_id):
            step = await self._operations.certain(self._ledger.replay, DeliveryFilter(id=delivery_id))
        self._outbox.take((), step.endpoints)
        was = (ListedState.DEAD if step.dead else ListedState.DELIVERED) if step.replayed else ListedState.DUE
        view = self._view(await self._ledger.delivery(delivery_id))
        return answer_json(ReplayedDelivery(**msgspec.structs.asdict(view), was=was))

    async def stop(self, request: RequestBody, *, delivery_id: str) -> HttpAnswer:
        """Give one up; the delivery as it is then. `Unknown`, `EndedState`."""
        await request.nothing()
        async with acting(self._ledger, request, "stop", "delivery stopped", target=delivery_id):
            await self._ledger.give_up(delivery_id)
        return answer_json(self._view(await self._ledger.delivery(delivery_id)))

    def _view(self, detail: DeliveryDetail) -> DeliveryView:
        why = None if detail.state is DeliveryState.DELIVERED else why_waiting(detail, self._outbox.why)
        return DeliveryView(**msgspec.structs.asdict(detail), why_undelivered=why)

    async def _wanted(self, request: RequestBody) -> tuple[DeliveryFilter, str | None]:
        said = await request.decode(self._replay, _SMALL)
        times = {"since": said.since, "until": said.until}
        if not any((said.state, said.endpoint, said.resource_id, said.prefix, said.reason, *times.values())):
            raise Malformed("select the deliveries by state, endpoint, resource_id, prefix, since, until or reason")
        since, until = (_seconds(name, at) for name, at in times.items())
        wanted = DeliveryFilter(
            state=DeliveryState(said.state or EndedState.DEAD),
            endpoint=said.endpoint,
            resource_id=said.resource_id,
            prefix=said.prefix or "",
            since=since,
            until=until,
            reason=said.reason,
        )
        return wanted, said.cursor


def _seconds(name: str, at: datetime | None) -> float | None:
    """The time *at*, given as *name*, in seconds since 1970. `Malformed`."""
    if at is None:
        return None
    try:
        return at.timestamp()
    except OverflowError:
        raise Malformed(f"{name}: the time is out of range") from None
