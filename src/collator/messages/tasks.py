"""Packets handed out, what came of them, and what a verb of the ledger did with that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import repeat

import msgspec

from collator.messages.deliveries import Delivery
from collator.messages.leases import Lease
from collator.packet import ACCEPTED, Receipt


class Key(msgspec.Struct, frozen=True, gc=False):
    """One packet of one generation of a resource (R11)."""

    resource_id: str
    generation: bytes
    """16 bytes."""
    index: int


class Run(msgspec.Struct, frozen=True, gc=False):
    """Packets of one resource that are handed out together, under one lease: the unit that travels to workers.

    In columns, as it stands for hundreds of packets: an object for each was a tenth of the time of the ledger.
    """

    resource_id: str
    generation: bytes
    """16 bytes."""
    lease: Lease
    """Of the first packet; that of another has its position."""
    indexes: Sequence[int]
    payloads: Sequence[bytes]
    """JSON, as received; in the order of the indexes."""
    attempts: Sequence[int]
    """1 for the first; in the same order."""
    metadata: bytes | None = None
    """That of the resource, as JSON, where it has some and `LedgerLimits.hand_out_metadata` asks for it."""
    alone: float = 0.0
    """Seconds for which nothing else may be in work beside it, in any process that it could end."""

    def leases(self) -> list[Lease]:
        """Return the leases of its packets."""
        return leases_from(self.lease, len(self.indexes))

    def part(self, start: int, end: int) -> Run:
        """Return the packets from the place *start* up to *end*."""
        if end - start == len(self.indexes):
            return self
        lease = self.lease.behind(start)
        indexes, payloads, attempts = self.indexes[start:end], self.payloads[start:end], self.attempts[start:end]
        return Run(self.resource_id, self.generation, lease, indexes, payloads, attempts, self.metadata, self.alone)

    def task(self, place: int) -> Task:
        """Return the packet at *place*."""
        key, lease = Key(self.resource_id, self.generation, self.indexes[place]), self.lease.behind(place)
        return Task(key, self.payloads[place], self.attempts[place], lease, self.metadata)


class Task(msgspec.Struct, frozen=True, gc=False):
    """A packet of a run, to be processed."""

    key: Key
    payload: bytes
    """JSON, as received."""
    attempt: int
    """1 for the first."""
    lease: Lease
    """With its position in the run: the result names it."""
    metadata: bytes | None = None
    """As that of its run."""


class Output(msgspec.Struct, frozen=True, gc=False):
    """The processor's output for a task."""

    lease: Lease
    output: bytes
    """JSON; checked by the processing stage, at most `LedgerLimits.max_output`."""
    known_at: float = 0.0
    """Reading of the monotonic clock when the output was there."""


class RunOutputs(msgspec.Struct, frozen=True, gc=False):
    """The processor's outputs for packets of a run that follow each other there, as an `Output` has that of one."""

    lease: Lease
    """Of the first packet; those of the others follow it."""
    outputs: Sequence[bytes]
    """One or more."""
    known_at: float = 0.0
    """Reading of the monotonic clock when the last of them was there."""


class Fault(msgspec.Struct, frozen=True, gc=False):
    """What an attempt failed for, without a word of the payload: it may be logged and counted, and a reason may not."""

    key: Key
    kind: str
    """Alike for what has the same cause: a type and a place in the code, a status, or a reason of our own."""
    label: str
    """Its class, for a metric: ``exception``, ``timeout``, ``output``, ``process``, ``answer``, ``service`` or
    ``configuration``."""
    trace: str = ""
    """The traceback without texts, of the first of its kind."""


class Failure(msgspec.Struct, frozen=True, gc=False):
    """No output, and no further attempt."""

    lease: Lease
    reason: str
    fault: Fault | None = None


class Retry(msgspec.Struct, frozen=True, gc=False):
    """No output from this attempt; the packet is due again after *delay*."""

    lease: Lease
    reason: str
    delay: float
    """Seconds from when the ledger records it."""
    counted: bool = True
    """Whether the attempt is used up: false where the packet is not to blame (R27)."""
    fault: Fault | None = None


Result = Output | Failure | Retry
"""What came of one packet."""
AnyResult = Result | RunOutputs
"""What came of one packet, or of several."""


def leases_from(first: Lease, number: int) -> list[Lease]:
    """Return the leases of *number* packets that follow each other in a run, from *first* on."""
    key, token, position = first.key, first.token, first.position
    return [Lease(key, token, one) for one in range(position, position + number)]


def packets_of(report: AnyResult) -> int:
    """Return the number of packets that *report* is about."""
    return len(report.outputs) if type(report) is RunOutputs else 1


def results_of(reports: Iterable[AnyResult]) -> list[Result]:
    """Return *reports* packet by packet."""
    results: list[Result] = []
    for report in reports:
        if isinstance(report, RunOutputs):
            leases = leases_from(report.lease, len(report.outputs))
            results += map(Output, leases, report.outputs, repeat(report.known_at))
        else:
            results.append(report)
    return results


def given_back(result: Result) -> bool:
    """Return whether *result* uses up no attempt."""
    return type(result) is Retry and not result.counted


def tasks_of(runs: Iterable[Run]) -> list[Task]:
    """Return the packets of *runs* one by one."""
    return [
        Task(Key(run.resource_id, run.generation, index), payload, attempt, lease, run.metadata)
        for run in runs
        for index, payload, attempt, lease in zip(run.indexes, run.payloads, run.attempts, run.leases(), strict=True)
    ]


def runs_of(tasks: Iterable[Task]) -> list[Run]:
    """Return *tasks*, each as a run of one packet."""
    return [
        Run(
            task.key.resource_id,
            task.key.generation,
            task.lease,
            [task.key.index],
            [task.payload],
            [task.attempt],
            task.metadata,
        )
        for task in tasks
    ]


def packets_in(runs: Iterable[Run]) -> int:
    """Return the number of packets in *runs*."""
    return sum([len(run.indexes) for run in runs])


def output_size(reports: Iterable[AnyResult]) -> int:
    """Bytes of the outputs among *reports*."""
    size = 0
    for report in reports:
        if type(report) is RunOutputs:
            size += sum(map(len, report.outputs))
        elif type(report) is Output:
            size += len(report.output)
    return size


class Recorded(StrEnum):
    """The fate of a result."""

    RECORDED = "recorded"  #: stored
    LOST = "lost"  #: the lease is no longer held; nothing changed
    CLOSED = "closed"  #: the resource has ended; the outcome is dropped (R12)
    ERROR = "error"  #: the store could not take this result; the packet will be handed out again
    UNAVAILABLE = "unavailable"  #: the part of the store that it concerns is away; report it again


class Accepted(msgspec.Struct, frozen=True):
    """The result of `Ledger.accept`."""

    size: int
    """Packets that were given."""
    exceptions: Sequence[tuple[int, Receipt]]
    """What became of those that were not accepted, by their places in the groups, one behind the other."""
    runs: Sequence[Run]
    """Packets of this batch, leased to the caller; at most *capacity*."""
    waiting: int
    """How many accepted packets were not handed out: a hint for the workers."""
    endpoints: frozenset[str]
    """Endpoints that have a new delivery due, because a repeat fixed the total of a resource that was done."""

    @property
    def receipts(self) -> list[Receipt]:
        """A receipt for each packet, in the order of the groups."""
        receipts = [ACCEPTED] * self.size
        for place, receipt in self.exceptions:
            receipts[place] = receipt
        return receipts


class StepResult(msgspec.Struct, frozen=True):
    """The result of a verb that can close resources."""

    statuses: Sequence[Recorded]
    """One for each packet of the reports, in order; empty for verbs that take none."""
    deliveries: Sequence[Delivery]
    """Deliveries created in this step and leased to the caller; at most its capacity for each endpoint."""
    endpoints: frozenset[str]
    """Endpoints with further deliveries that were created in this step and stay due."""
    closed: int = 0
    """Resources that ended in this step."""
    more: bool = False
    """Whether `expire` should be asked again at once: there may be others whose time has passed."""
    failed: Key | None = None
    """One of the packets whose results have failed them for good."""
