"""What passes between the ledger and the stages: work handed out, outcomes taken back, and what each became.

Frozen values, one line on each field. A **lease** is a number that the ledger gave with a task or a delivery; it is
the caller's only right to report on it, and a lease that was lost changes nothing (P2).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from enum import StrEnum

import msgspec

from collator.packet import Receipt
from collator.states import DeliveryState, EndedBy, State


class Key(msgspec.Struct, frozen=True, gc=False):
    """One packet of one generation of a resource (R11)."""

    resource_id: str
    generation: bytes
    """16 bytes."""
    index: int


class Task(msgspec.Struct, frozen=True, gc=False):
    """A packet, leased to the caller to be processed."""

    key: Key
    payload: bytes
    """JSON, as received."""
    attempt: int
    """1 for the first."""
    lease: int


class Output(msgspec.Struct, frozen=True, gc=False):
    """The processor's output for a task."""

    lease: int
    output: bytes
    """JSON; checked by the processing stage, at most `Terms.max_output`."""
    known_at: float = 0.0
    """Reading of the monotonic clock when the output was there."""


class Failure(msgspec.Struct, frozen=True, gc=False):
    """No output, and no further attempt."""

    lease: int
    reason: str


class Retry(msgspec.Struct, frozen=True, gc=False):
    """No output from this attempt; the packet is due again after *delay*."""

    lease: int
    reason: str
    delay: float
    """Seconds from when the ledger records it."""


Result = Output | Failure | Retry


class Recorded(StrEnum):
    """What became of a result."""

    RECORDED = "recorded"  #: stored
    LOST = "lost"  #: the lease is no longer held; nothing changed
    CLOSED = "closed"  #: the resource has ended; the outcome is dropped (R12)
    ERROR = "error"  #: the store could not take this result; the packet will be handed out again


class Delivery(msgspec.Struct, frozen=True):
    """One webhook to one endpoint, leased to the caller to be sent."""

    resource_id: str
    generation: bytes
    endpoint: str
    """The name; the URL is looked up at each attempt (R20)."""
    attempt: int
    """1 for the first; goes on counting over a replay (R24)."""
    step: int
    """Place in the retry schedule, from 0; a replay starts it anew."""
    lease: int
    body: bytes | None
    """The frozen body, or `None` where it is large: ask `Ledger.body` for it."""
    known_at: float = 0.0
    """Monotonic reading when the last output was known; 0 unless this attempt was born with the closing."""

    @property
    def webhook_id(self) -> str:
        """The id under which this generation is delivered, on every endpoint and attempt."""
        return webhook_id(self.resource_id, self.generation)


class Attempt(msgspec.Struct, frozen=True):
    """How an attempt to deliver ended."""

    delivery: Delivery
    state: DeliveryState
    """`DELIVERED`, `DUE` (try again after *delay*) or `DEAD`."""
    reason: str = ""
    """The answer in words: ``HTTP 503``, ``connection refused``."""
    delay: float = 0.0
    """Seconds until it is due again."""
    counted: bool = True
    """False where nothing was sent, as under an open breaker: no attempt is used up (R23)."""


class Accepted(msgspec.Struct, frozen=True):
    """What `Ledger.accept` did."""

    receipts: Sequence[Receipt]
    """One for each packet, in order."""
    tasks: Sequence[Task]
    """Packets of this batch, leased to the caller; at most *room*."""
    waiting: Sequence[Key]
    """Accepted packets that were not handed out: hints for a workforce."""
    endpoints: frozenset[str]
    """Endpoints that have a new delivery due, because a repeat fixed the total of a resource that was done."""


class Outcome(msgspec.Struct, frozen=True):
    """What a verb that can close resources did."""

    statuses: Sequence[Recorded]
    """One for each result, in order; empty for verbs that take no results."""
    deliveries: Sequence[Delivery]
    """Deliveries born in this step and leased to the caller; at most its room for each endpoint."""
    endpoints: frozenset[str]
    """Endpoints with further deliveries that were born in this step and stay due."""
    closed: int = 0
    """Resources that ended in this step."""


class PacketReport(msgspec.Struct, frozen=True):
    """A failed packet, as views and webhooks show it."""

    index: int
    reason: str
    attempts: int


class DeliveryReport(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery, as views show it."""

    resource_id: str
    webhook_id: str
    endpoint: str
    state: DeliveryState
    attempts: int
    reason: str
    """How the last attempt ended; empty before the first."""
    due_in: float | None
    """Seconds until it is due; `None` once it has ended."""


class ResourceReport(msgspec.Struct, frozen=True, kw_only=True):
    """A resource, as views show it. Times are RFC 3339 in UTC."""

    resource_id: str
    webhook_id: str
    state: State
    completed_by: EndedBy | None
    total: int | None
    metadata: msgspec.Raw
    received: int
    done: int
    failed: int
    missing: Sequence[tuple[int, int]]
    """Never received: up to the total where it is known, else up to the highest index."""
    unfinished: Sequence[tuple[int, int]]
    """Received, no outcome."""
    failures: Sequence[PacketReport]
    """The first 100."""
    opened_at: str
    closed_at: str | None
    deliveries: Sequence[DeliveryReport]


class ResourceSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a list of resources."""

    resource_id: str
    state: State
    total: int | None
    received: int
    done: int
    failed: int
    opened_at: str


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What the store holds, from counters kept in each commit."""

    open: int = 0
    collated: int = 0
    incomplete: int = 0
    cancelled: int = 0
    waiting: int = 0
    """Packets received that have no outcome."""
    backlog: int = 0
    """Their payload bytes."""
    due: int = 0
    """Deliveries not ended."""
    dead: int = 0


def webhook_id(resource_id: str, generation: bytes) -> str:
    """``msg_`` and the base32 of a hash of the resource and its generation (R11): no character that a header minds."""
    digest = hashlib.sha256(resource_id.encode() + b"\0" + generation).digest()
    number = int.from_bytes(digest) << 4  # 260 bits: 26 pairs of digits, each of 5 bits
    return "msg_" + "".join([_PAIRS[number >> shift & 1023] for shift in range(250, -1, -10)])


_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = tuple(first + second for first in _BASE32 for second in _BASE32)
"""Two digits at a time: 3 us an id instead of the 7 us of the standard library."""
