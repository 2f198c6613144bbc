"""Server-sent events as text: what an outcome and an end look like, and which place a reader says he has. Pure.

The id of an event is the place behind it. That of an outcome is its `seq`, or its index where the events are in the
order of indexes; that of the end says so, so that who has read it is told that there is no more.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from collator.errors import Malformed
from collator.interim import Interim
from collator.messages import OutcomePage, OutcomeReport
from collator.states import EndedBy, State
from collator.text import shown
from collator.web.problems import encode

HEARTBEAT = 15.0
"""Seconds after which a stream that has nothing to say sends a comment, so that no proxy takes it for dead."""
KEEP_ALIVE = b": keep-alive\n"
"""That comment."""
RETRY = b"retry: 2000\n"
"""Milliseconds until a client that was cut off comes again."""
_ID = re.compile(rb"([0-9]{1,16})(\.end)?")
_LINE_END = re.compile(rb"\r\n|\r|\n")


class Order(StrEnum):
    """The order of the events of a resource."""

    SEQ = "seq"  #: in which outcomes were recorded
    INDEX = "index"  #: of indexes without a gap; what is behind a gap comes once it is filled, or at the end

    @property
    def beginning(self) -> int:
        """The place before everything."""
        return 0 if self is Order.SEQ else -1


class OutputEvent(msgspec.Struct, frozen=True):
    """Event `output`: a packet was processed."""

    resource_id: str
    seq: int
    index: int
    output: msgspec.Raw


class FailedEvent(msgspec.Struct, frozen=True):
    """Event `failed`: a packet has failed for good. In the order of indexes there is none."""

    resource_id: str
    seq: int
    index: int
    reason: str
    attempts: int
    """How many were made."""


class PartialEvent(msgspec.Struct, frozen=True):
    """Event `partial`: what the processor has of a packet before its output. The next one takes its place."""

    resource_id: str
    index: int
    attempt: int
    """1 for the first."""
    output: msgspec.Raw


class EndEvent(msgspec.Struct, frozen=True):
    """Event `end`: the resource has ended; the stream ends with it."""

    resource_id: str
    state: State
    completed_by: EndedBy | None
    total: int | None
    webhook_id: str


class ResetEvent(msgspec.Struct, frozen=True):
    """Event `reset`: forget what came so far. The id is that of another generation; its events follow."""

    resource_id: str
    detail: str
    """Why, in words."""


class Place(NamedTuple):
    """How far a reader is."""

    number: int
    """The `seq` or the index of the last event that he has."""
    ended: bool = False
    """Whether he has read the end too."""

    @classmethod
    def of(cls, last_event_id: bytes | None, order: Order, begin: int | None) -> Place:
        """The place behind *last_event_id*, which a client sends that comes again, or else behind *begin*."""
        if not last_event_id:
            return cls(order.beginning if begin is None else begin)
        found = _ID.fullmatch(last_event_id)
        if found is None:
            said = shown(last_event_id.decode("latin-1"))
            raise Malformed(f"Last-Event-ID: {said} is not the id of an event of a resource")
        return cls(int(found[1]), found[2] is not None)


class ResourceEvent(NamedTuple):
    """One event of a resource."""

    name: bytes
    data: bytes
    """A JSON object."""
    id: bytes | None = None


class EventPage(NamedTuple):
    """The next events of a resource."""

    events: Sequence[ResourceEvent]
    text: bytes
    """All of them, as server-sent events."""
    place: Place
    """Behind them."""
    webhook_id: str
    more: bool
    """Whether others are there behind them."""


def page_of(resource_id: str, order: Order, place: Place, page: OutcomePage) -> EventPage:
    """The events of *page*, which was read behind *place*; with the end, where the resource has ended."""
    outcomes, open_ = page.outcomes, page.state is State.OPEN
    if order is Order.INDEX and open_:
        next_index = place.number + 1
        gap = next((at for at, one in enumerate(outcomes) if one.index != next_index + at), len(outcomes))
        outcomes = outcomes[:gap]
    number = place.number
    if outcomes:
        number = outcomes[-1].seq if order is Order.SEQ else outcomes[-1].index
    events = [_outcome(resource_id, order, one) for one in outcomes]
    more = page.more and len(outcomes) == len(page.outcomes)
    ended = not (open_ or more)
    if ended and (outcomes or not place.ended):
        end = EndEvent(resource_id, page.state, page.completed_by, page.total, page.webhook_id)
        events.append(ResourceEvent(b"end", encode(end), b"%d.end" % max(number, 0)))
    text = b"".join([event(*one) for one in events])
    return EventPage(tuple(events), text, Place(number, ended), page.webhook_id, more)


def reset_of(resource_id: str, detail: str) -> ResourceEvent:
    """The event `reset`; a client that comes again after it says no place."""
    return ResourceEvent(b"reset", encode(ResetEvent(resource_id, detail)), b"")


def interim_of(resource_id: str, interim: Interim) -> ResourceEvent:
    """*interim* as an event, which has no id: it is no place to go on at."""
    raw = msgspec.Raw(interim.output)
    return ResourceEvent(b"partial", encode(PartialEvent(resource_id, interim.index, interim.attempt, raw)))


def event(name: bytes, data: bytes, id_: bytes | None = None) -> bytes:
    """The text of one event. *data* is JSON; a line end in it, which can only be between two tokens, begins a line."""
    place = b"" if id_ is None else b"id: %b\n" % id_
    return b"%bevent: %b\ndata: %b\n\n" % (place, name, _LINE_END.sub(b"\ndata: ", data))


def _outcome(resource_id: str, order: Order, one: OutcomeReport) -> ResourceEvent:
    id_ = b"%d" % (one.seq if order is Order.SEQ else one.index)
    if one.output is None:
        return ResourceEvent(
            b"failed", encode(FailedEvent(resource_id, one.seq, one.index, one.reason, one.attempts)), id_
        )
    return ResourceEvent(b"output", encode(OutputEvent(resource_id, one.seq, one.index, msgspec.Raw(one.output))), id_)
