"""The endpoints that need the attention of a person, in the status: what counts as that is decided here alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from operator import attrgetter

import msgspec

from collator.clock import rfc3339
from collator.messages import DeliveryFilter, DeliveryReport
from collator.seams.ledger import Ledger
from collator.seams.outbox import Outbox
from collator.states import DeliveryState

OVERDUE = 300.0
"""Seconds after its creation at which a delivery that is still due needs attention: a receiver that is well has long
had it, and four attempts have failed where nothing else held it up."""
LISTED = 1000
"""Deliveries in one state that are counted by endpoint."""
_LOOKS = 10  # into the ledger for those: it goes through some 4,000 that are not delivered at each


class AttentionCause(StrEnum):
    """Why an endpoint needs attention."""

    PAUSED = "paused"
    NOT_CONFIGURED = "not_configured"
    FAILING = "failing"
    OVERDUE = "overdue"
    DEAD = "dead"


class EndpointAttention(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint that needs the attention of a person."""

    endpoint: str
    causes: Sequence[AttentionCause]
    """`paused` until a person resumes it; `not_configured`, though something is due to it; `failing`: a breaker is
    open; `overdue`: something is due 5 minutes after its resource ended; `dead`: deliveries were given up."""
    why_not_sent: str | None
    """Why nothing is sent to it at the moment, in words; null where it is sent to."""
    next_try_in: float | None
    """While its receiver fails: the seconds until a request finds out whether it works again. Otherwise null."""
    due: int
    due_more: bool
    """Whether there may be more than these."""
    oldest_due: DeliveryReport | None
    dead: int
    dead_more: bool
    """Whether there may be more than these."""
    oldest_dead: DeliveryReport | None


class _Undelivered:
    """The first deliveries in one state, by endpoint."""

    def __init__(self, found: Sequence[DeliveryReport], *, more: bool) -> None:
        self.more = more
        self.by_endpoint: dict[str, list[DeliveryReport]] = {}
        for one in found:
            self.by_endpoint.setdefault(one.endpoint, []).append(one)

    def endpoints(self) -> set[str]:
        return {*self.by_endpoint}

    def number(self, endpoint: str) -> int:
        return len(self.by_endpoint.get(endpoint, ()))

    def oldest(self, endpoint: str) -> DeliveryReport | None:
        return min(self.by_endpoint.get(endpoint, ()), key=attrgetter("created_at"), default=None)


async def attention(ledger: Ledger, outbox: Outbox, *, now: float) -> Sequence[EndpointAttention]:
    """The endpoints that need attention at *now* (wall clock), by name."""
    due, dead = await _first(ledger, DeliveryState.DUE), await _first(ledger, DeliveryState.DEAD)
    overdue = rfc3339(now - OVERDUE)
    configured, paused = outbox.capacity(), await ledger.paused()
    found = []
    for name in sorted({*configured, *paused, *due.endpoints(), *dead.endpoints()}):
        next_try, oldest = outbox.next_try(name), due.oldest(name)
        grounds = {
            AttentionCause.PAUSED: name in paused,
            AttentionCause.NOT_CONFIGURED: name not in configured and oldest is not None,
            AttentionCause.FAILING: next_try is not None,
            AttentionCause.OVERDUE: oldest is not None and oldest.created_at <= overdue,
            AttentionCause.DEAD: dead.number(name) > 0,
        }
        if any(grounds.values()):
            one = EndpointAttention(
                endpoint=name,
                causes=[cause for cause, given in grounds.items() if given],
                why_not_sent=outbox.why(name),
                next_try_in=next_try,
                due=due.number(name),
                due_more=due.more,
                oldest_due=oldest,
                dead=dead.number(name),
                dead_more=dead.more,
                oldest_dead=dead.oldest(name),
            )
            found.append(one)
    return found


async def owed(ledger: Ledger, *, now: float) -> Mapping[str, tuple[int, float]]:
    """The first deliveries that are due at *now* (wall clock), by endpoint: how many, and the age of the oldest."""
    due = await _first(ledger, DeliveryState.DUE)
    found = {}
    for name, deliveries in due.by_endpoint.items():
        oldest = min(one.created_at for one in deliveries)
        found[name] = (len(deliveries), max(0.0, now - datetime.fromisoformat(oldest).timestamp()))
    return found


async def _first(ledger: Ledger, state: DeliveryState) -> _Undelivered:
    """The first deliveries in *state*, by creation, as far as some looks go."""
    found = list[DeliveryReport]()
    after: str | None = ""
    for _ in range(_LOOKS):
        if after is None or len(found) >= LISTED:
            break
        page = await ledger.deliveries(DeliveryFilter(state=state), after=after, limit=LISTED - len(found))
        found += page.deliveries
        after = page.after
    return _Undelivered(found, more=after is not None)
