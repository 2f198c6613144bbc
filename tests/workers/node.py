"""A node under test: a ledger, workers on it, and the way in. The one place that knows what travels between them.

The ledger's time is moved by hand, and that of calls is real, as they may be made in another process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import msgspec

from collator.errors import Unavailable, Uncertain
from collator.intake import Intake
from collator.messages import (
    Accepted,
    Batch,
    Delivery,
    Group,
    Lease,
    Output,
    ReceiverAnswer,
    Recorded,
    ResourceReport,
    Result,
    Run,
    StepResult,
    Task,
    tasks_of,
)
from collator.metrics import Metrics
from collator.packet import Packet
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Capacity, Ledger
from collator.seams.workers import Workers
from collator.workers.pooled_workers import PooledWorkers
from tests.conformance.harness import Harness, LedgerClock
from tests.wait import until
from tests.workers.behaviours import Payload
from tests.workers.kinds import Kind, Terms

PATIENCE = 20.0
"""Seconds; a process takes some tenths of one to start, and more on a busy machine."""
LEASE = LedgerLimits().task_lease


class Outbox:
    """Keeps the deliveries that it is given."""

    def __init__(self) -> None:
        self.taken: list[Delivery] = []
        self.endpoints: set[str] = set()
        """Those of which it was told that more is due."""
        self.room = 100

    def capacity(self) -> Capacity:
        return {"default": self.room}

    def take(self, deliveries: Sequence[Delivery], endpoints: Iterable[str]) -> None:
        self.taken += deliveries
        self.endpoints |= {*endpoints}

    async def refresh(self) -> None:
        return

    async def try_now(self, endpoint: str) -> bool:
        return False

    async def test(self, endpoint: str) -> ReceiverAnswer:
        """Never called."""
        raise NotImplementedError

    def under_way(self) -> dict[str, int]:
        """Nothing is."""
        return {}

    def next_try(self, endpoint: str) -> float | None:
        return None

    def why(self, endpoint: str) -> str | None:
        return None


class WatchedLedger:
    """The ledger as workers see it: what they ask for is counted, and what is between may fail."""

    def __init__(self, ledger: Ledger) -> None:
        self.away = False
        """Whether the store takes nothing."""
        self.lost_calls = 0
        """How many of the next outcomes are lost on their way in."""
        self.lost_replies = 0
        """How many of the next outcomes are recorded, and the answer does not come."""
        self.lost_claims = 0
        """How many of the next claims hand something out, and the answer does not come."""
        self.refused = 0
        """Calls that failed by one of these."""
        self.claims = 0
        self.answered = 0
        """Claims that the ledger has answered."""
        self.answers = asyncio.Event()
        """While it is not set, no answer to a claim comes."""
        self.answers.set()
        self.renewed = 0
        """Calls that renewed all that they were about."""
        self.statuses: list[Recorded] = []
        """What was said of each outcome."""
        self.held: set[Lease] = set()
        """Leases that were handed out and of which nothing has come back."""
        self._ledger = ledger

    def __getattr__(self, verb: str) -> Any:  # noqa: ANN401 - every other verb of the ledger, as it is
        return getattr(self._ledger, verb)

    async def accept(self, groups: Sequence[Group], *, capacity: int, operation: str = "") -> Accepted:
        accepted = await self._ledger.accept(groups, capacity=capacity, operation=operation)
        self.held |= {task.lease for task in tasks_of(accepted.runs)}
        return accepted

    async def claim(self, *, capacity: int, operation: str = "") -> Sequence[Run]:
        self.claims += 1
        self._fail_if(self.away)
        runs = await self._ledger.claim(capacity=capacity, operation=operation)
        self.answered += 1
        await self.answers.wait()
        self.held |= {task.lease for task in tasks_of(runs)}
        lost, self.lost_claims = self.lost_claims > 0, max(0, self.lost_claims - 1)
        self._lose_if(lost)
        return runs

    async def record(self, results: Sequence[Result], *, capacity: Capacity, operation: str = "") -> StepResult:
        lost, self.lost_calls = self.lost_calls > 0, max(0, self.lost_calls - 1)
        self._fail_if(self.away or lost)
        step = await self._ledger.record(results, capacity=capacity, operation=operation)
        self.held -= {result.lease for result in results}
        self.statuses += step.statuses
        lost, self.lost_replies = self.lost_replies > 0, max(0, self.lost_replies - 1)
        self._lose_if(lost)
        return step

    async def renew(self, leases: Sequence[Lease]) -> Sequence[bool]:
        self._fail_if(self.away)
        held = await self._ledger.renew(leases)
        self.renewed += all(held)
        return held

    async def release(self, leases: Sequence[Lease]) -> None:
        self._fail_if(self.away)
        await self._ledger.release(leases)
        self.held -= {*leases}

    def _fail_if(self, fails: bool) -> None:
        if fails:
            self.refused += 1
            raise Unavailable(retry_after=0.005)

    def _lose_if(self, lost: bool) -> None:
        if lost:
            self.refused += 1
            raise Uncertain(retry_after=0.005)


class Node:
    """One ledger, the workers of one kind on it, and what was seen of both."""

    def __init__(self, ledger: Ledger, clock: LedgerClock, files: Path, workers: Workers, outbox: Outbox) -> None:
        self.clock = clock
        self.outbox = outbox
        self.workers = workers
        self.ledger: WatchedLedger = cast("WatchedLedger", ledger)
        self._files = files
        self._intake = Intake(ledger, workers, outbox, metrics=Metrics())

    async def hint(self, resource_id: str, *payloads: Payload) -> None:
        """Accept *payloads* elsewhere, and tell the workers."""
        await self._beside().accept(Batch(packets(self._files, resource_id, payloads)).groups, capacity=0)
        self.workers.notify()

    async def hand_over(self, resource_id: str, *payloads: Payload) -> None:
        """Accept *payloads* with capacity that was asked for earlier."""
        given = packets(self._files, resource_id, payloads)
        accepted = await self.ledger.accept(Batch(given).groups, capacity=len(given))
        self.workers.submit(accepted.runs)

    async def send(self, resource_id: str, *payloads: Payload, last: bool = True, first: int = 0) -> None:
        """Accept *payloads* as packets from index *first*; the value of a packet is its index if it has no other."""
        await self._intake.accept(packets(self._files, resource_id, payloads, last=last, first=first))

    async def ended(self, resource_id: str) -> ResourceReport:
        """The resource, once it has ended."""
        await until(lambda: resource_id in {delivery.resource_id for delivery in self.outbox.taken}, PATIENCE)
        report: ResourceReport = await self.ledger.resource(resource_id)
        return report

    async def outputs(self, resource_id: str) -> dict[int, Any]:
        """The outputs of *resource_id* by index."""
        page = await self.ledger.outputs(resource_id)
        return {one.index: msgspec.json.decode(one.output) for one in page.outcomes}

    async def due(self) -> list[tuple[int, int]]:
        """What is due, and now another's: index and attempt of each."""
        return [(task.key.index, task.attempt) for task in await self._claim()]

    async def take_over(self, output: bytes) -> Sequence[Recorded]:
        """Let the leases of the workers end, and record *output* for what is due, as another node would."""
        self.clock.advance(LEASE + 1)
        results = [Output(task.lease, output) for task in await self._claim()]
        return (await self._beside().record(results, capacity={})).statuses

    def in_hand(self) -> int:
        """How many packets are called for, or on their way to a call and back."""
        return cast("PooledWorkers", self.workers)._pool.in_hand()

    def open(self) -> None:
        """Let go of every call that waits."""
        (self._files / "open").touch()

    def begun(self) -> list[int]:
        """The values of the calls that have begun, in order."""
        return [value for what, value, _ in self._notes() if what == "begin"]

    def process_of(self, value: int) -> int:
        """The process that has begun the last call for *value*."""
        return [pid for what, called, pid in self._notes() if (what, called) == ("begin", value)][-1]

    def most_at_a_time(self) -> int:
        """How many calls were under way at one time, at most."""
        now = most = 0
        for what, _, _ in self._notes():
            now += 1 if what == "begin" else -1
            most = max(most, now)
        return most

    async def _claim(self) -> Sequence[Task]:
        return tasks_of(await self._beside().claim(capacity=1000))

    def _beside(self) -> Ledger:
        """The ledger, without anything between."""
        return self.ledger._ledger

    def _notes(self) -> list[tuple[str, int, int]]:
        file = self._files / "calls"
        lines = file.read_text("ascii").splitlines() if file.exists() else []
        return [(what, int(value), int(pid)) for what, value, pid in map(str.split, lines)]


class Store:
    """A ledger that outlives the nodes on it."""

    def __init__(self, harness: Harness[Any], ledger: Ledger, files: Path) -> None:
        self.clock, self.stand_still = harness.clock, harness.stand_still
        self.ledger, self.files = ledger, files

    @asynccontextmanager
    async def node(self, kind: Kind, terms: Terms | None = None) -> AsyncIterator[Node]:
        """A node with workers of *kind*; it ends without a drain, and lets go of the calls that wait."""
        watched, outbox = cast("Ledger", WatchedLedger(self.ledger)), Outbox()
        async with kind.start(watched, outbox, terms or Terms()) as workers:
            node = Node(watched, self.clock, self.files, workers, outbox)
            try:
                yield node
            finally:
                node.open()

    async def backlog(self, resource_id: str, *payloads: Payload) -> None:
        """Accept *payloads* while nobody works."""
        await self.ledger.accept(Batch(packets(self.files, resource_id, payloads)).groups, capacity=0)


@asynccontextmanager
async def open_store(harness: Harness[Any], files: Path) -> AsyncIterator[Store]:
    """The ledger of *harness*; calls leave their files in *files*."""
    ledger = await harness.open(LedgerLimits(), lambda _resource_id: ["default"])
    try:
        yield Store(harness, ledger, files)
    finally:
        await harness.stop(ledger)
        await harness.close()


def packets(
    files: Path, resource_id: str, payloads: Sequence[Payload], *, last: bool = True, first: int = 0
) -> list[Packet]:
    """Packets of *payloads* from index *first*."""
    end = first + len(payloads) - 1
    written = [
        msgspec.Raw(msgspec.json.encode({"files": str(files), "value": index, **payload}))
        for index, payload in enumerate(payloads, first)
    ]
    return [Packet(resource_id, index, raw, last and index == end) for index, raw in enumerate(written, first)]


def payload(do: str = "", times: int | None = None, value: int | None = None) -> Payload:
    """What a call does, at the first *times* calls or at all, and its output; see `Payload`."""
    said = {"do": do, "times": times, "value": value}
    return cast("Payload", {key: one for key, one in said.items() if one not in {None, ""}})
