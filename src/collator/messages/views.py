"""Views of resources, packets and counts, as people see them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from collator.messages.delivery_views import DeliveryReport
from collator.states import EndedBy, PacketState, State


class PacketReport(msgspec.Struct, frozen=True):
    """A failed packet, as views and webhooks show it."""

    index: int
    reason: str
    attempts: int


class RetryReport(msgspec.Struct, frozen=True):
    """A packet without an outcome whose last attempt failed, as views show it."""

    index: int
    reason: str
    """Why the last attempt failed."""
    attempts: int
    """How many are used up: what is not the packet's fault uses up none."""
    due_in: float | None
    """Seconds until the next attempt; `None` where the packet waits for a worker, or has one."""


class PacketDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One packet, with all that is stored of it."""

    state: PacketState | None
    """`None` where its resource has ended before the packet had an outcome."""
    attempts: int
    """How many are used up, the one that gave its outcome included."""
    reason: str
    """Why it has failed, or why its last attempt did; empty where none failed, and where it is done."""
    due_in: float | None
    """Seconds until the next attempt, where that has a time."""
    payload: bytes
    """JSON, as received."""
    output: bytes | None
    """JSON; `None` where there is none."""
    seq: int | None
    """The number of its outcome in its resource; `None` before it."""


class FailureReport(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts that failed alike of late, as the status shows them."""

    reason: str
    """That of the latest."""
    times: int
    """How many there were; those that use up no attempt count as well."""
    last_at: str
    """When the latest ended, RFC 3339 in UTC."""
    resource_id: str
    index: int
    """The packet of the latest."""
    due_in: float | None
    """Seconds until its next attempt, 0 once it is due; `None` where there is none, or it has no time."""


class ResourceReport(msgspec.Struct, frozen=True, kw_only=True):
    """A resource, as views show it. Times are RFC 3339 in UTC."""

    resource_id: str
    webhook_id: str
    supersedes: str | None = None
    """The webhook id of the generation before, where a retry has opened it again (R16)."""
    state: State
    completed_by: EndedBy | None
    total: int | None
    metadata: msgspec.Raw
    received: int
    done: int
    failed: int
    missing: Sequence[tuple[int, int]]
    """Never received: up to the total where it is known, else up to the highest index. The first 1,000 ranges."""
    missing_more: int = 0
    """How many indexes are missing beyond those."""
    unfinished: Sequence[tuple[int, int]]
    """Received, no outcome: the first 1,000 ranges."""
    unfinished_more: int = 0
    """How many indexes are unfinished beyond those."""
    retrying: Sequence[RetryReport] = ()
    """Those of the unfinished whose last attempt failed: the first 100, fewer where their reasons are long."""
    retrying_more: bool = False
    """Whether there are others."""
    failures: Sequence[PacketReport]
    """The first 100, fewer where their reasons are long."""
    failures_more: int = 0
    """How many packets have failed beyond those."""
    opened_at: str
    closed_at: str | None
    deliveries: Sequence[DeliveryReport]
    """Up to 100, those that are not delivered before others."""
    deliveries_more: int = 0
    """How many there are beyond those; the list of deliveries has them all."""


class ResourceSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a list of resources."""

    resource_id: str
    state: State
    total: int | None
    received: int
    done: int
    failed: int
    opened_at: str
    closed_at: str | None
    """When it ended; `None` while it is open."""


class ResourceSearch(msgspec.Struct, frozen=True, kw_only=True):
    """A search for resources by time: those that fit all that is said. Times are in seconds since 1970."""

    state: State | None = None
    prefix: str = ""
    """What the id begins with."""
    opened_since: float | None = None
    """Those that were opened then or later."""
    opened_until: float | None = None
    """Those that were opened then or before."""
    ended_since: float | None = None
    """Those that ended then or later."""
    ended_until: float | None = None
    """Those that ended then or before."""
    failed: bool = False
    """Those with packets that failed."""
    undelivered: bool = False
    """Those with a delivery that is due or dead; in the order in which these were created."""
    newest: bool = True
    """Those that were opened last come first; else those that were opened first."""


class ResourceSearchPage(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of what a search found."""

    resources: Sequence[ResourceSummary]
    after: str | None
    """Where the next page begins; `None` at the end. A page may have few lines, or none, and others behind it."""
    places: Sequence[str | None]
    """Where a page would begin behind each of them."""


class ResourceFilter(msgspec.Struct, frozen=True, kw_only=True):
    """A filter of resources with packets that have no output: those that fit all that is said."""

    state: State = State.INCOMPLETE
    """`INCOMPLETE`: packets failed, or were not finished as it ended. `OPEN`: packets failed."""
    prefix: str = ""
    """What the id begins with."""
    since: float | None = None
    """Those that ended then or later; wall clock, seconds since 1970."""
    completed_by: EndedBy | None = None
    """What ended it."""
    reason: str | None = None
    """A text in the reason of one of the first 100 packets that failed."""


class UnfinishedResource(msgspec.Struct, frozen=True):
    """A resource with packets that have no output."""

    resource_id: str
    webhook_id: str
    """That of the generation in which it was found."""
    packets: int
    """Those that a retry would try again."""


class UnfinishedPage(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a list of resources with packets that have no output."""

    resources: Sequence[UnfinishedResource]
    after: str | None
    """Where the next page begins; `None` at the end. A page may have few lines, or none, and others behind it."""


class RetriedResources(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one step of a retry of many resources."""

    resources: int
    packets: int
    after: str | None
    """Where the next step begins; `None` where all is done."""


class OutcomeReport(msgspec.Struct, frozen=True, gc=False):
    """An outcome, as views show it."""

    seq: int
    """Its number in its resource: 1, 2, 3 … in the order in which outcomes were recorded (R26)."""
    index: int
    output: bytes | None
    """JSON; `None` where the packet has failed."""
    reason: str = ""
    """Why it has failed."""
    attempts: int = 0
    """Of a packet that has failed: how many were made."""


class OutcomePage(msgspec.Struct, frozen=True, kw_only=True):
    """Some outcomes of a resource, and how the resource stands in the same moment."""

    webhook_id: str
    """That of the generation to which they belong."""
    state: State
    completed_by: EndedBy | None
    total: int | None
    outcomes: Sequence[OutcomeReport]
    more: bool = False
    """Whether others are there behind them."""


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of the store, from counters kept in each commit."""

    open: int = 0
    collated: int = 0
    incomplete: int = 0
    cancelled: int = 0
    waiting: int = 0
    """Packets received that have no outcome."""
    backlog: int = 0
    """Bytes stored of them and of open resources, which `max_backlog` bounds (`collator.rules.footprint`)."""
    open_bytes: int = 0
    """Those of open resources among them: ids, metadata and rows."""
    due: int = 0
    """Deliveries not ended."""
    dead: int = 0
    remembered: int = 0
    """Resources that are gone after their retention, and whose end is remembered."""
