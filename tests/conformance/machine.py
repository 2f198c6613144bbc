"""Every verb in any order, with duplicates, contradictions, stale leases, stops and time, against the model.

After each step all that the ledger shows is compared with what the model says: counters, reports, outputs, bodies.
Three things hold throughout: what was acknowledged is there, a generation has one webhook id and one body, and
counters add up. Here: packets and their outcomes; `machine_ends` has time, people, deliveries and stops.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from collator.clock import rfc3339
from collator.messages import Batch, Delivery, Failure, Output, Recorded, Result, Retry, Task, tasks_of, webhook_id
from collator.packet import Packet
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Ledger
from collator.states import OnFailure, State
from tests.conformance.idle import Uptime
from tests.conformance.model import DONE, FAILED, LEASED, WAITING, Model
from tests.conformance.steps import claim, joined, packet
from tests.conformance.store import NewStore
from tests.conformance.views import compare

R = TypeVar("R")

ENDPOINTS: Mapping[str, Sequence[str]] = MappingProxyType({"w": ("b",), "x": ("a",), "y": ("a", "b"), "z": ()})
# Fractions that no sum of the steps of time can meet, so that no example hangs on the order of two equal moments.
IDLE_TIMEOUT, DEADLINE, RETENTION, TASK_LEASE, DELIVERY_LEASE = 100.25, 400.125, 50.5, 30.5, 20.5
REMEMBER = 60.75
TERMS = LedgerLimits(
    idle_timeout=IDLE_TIMEOUT,
    deadline=DEADLINE,
    retention=RETENTION,
    remember=REMEMBER,
    task_lease=TASK_LEASE,
    delivery_lease=DELIVERY_LEASE,
    max_open=3,
    max_deaths=2,
    alone=1e9,  # seconds that no example lasts
)

metadata = st.sampled_from([b'{"a":1}', b'{"a":1}', b'{"a":2}'])
MEMORY = Path("/dev/shm")  # noqa: S108 - the directory in it is made safely
"""Where it exists, a store in memory does: no step here is about the disk, and thousands are taken."""

picks = st.integers(0, 9)
names = st.sampled_from("wxxyyz")
indexes = st.integers(0, 2)
# Mostly what a good sender gives, so that resources come to their end; now and then a contradiction.
good = st.builds(packet, names, indexes) | st.builds(packet, names, indexes, total=st.just(3))
good |= st.builds(packet, names, st.just(2), last=st.just(True))
doubtful = st.builds(packet, names, indexes, st.sampled_from([None, b"9"]), metadata=metadata)
doubtful |= st.builds(packet, names, st.integers(0, 5), last=st.booleans())
packets = st.lists(good | good | good | doubtful, min_size=1, max_size=8)
kind = st.sampled_from(["output", "output", "output", "output", "failure", "retry", "retry at once", "given back"])
outcomes = st.lists(kind, max_size=6) | st.just(["output"] * 6)


class Machine(RuleBasedStateMachine):
    """One store through one process after another, and the model beside it."""

    model: Model
    ledger: Ledger

    def __init__(self, new_store: NewStore) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.directory = tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
        self.store = new_store(Path(self.directory.name))
        self.uptime = Uptime()
        self.tasks: list[Task] = []
        self.ids: set[str] = set()
        self.agreed = False

    @initialize(on_failure=st.sampled_from(OnFailure), given=packets)
    def open(self, on_failure: OnFailure, given: list[Packet]) -> None:
        max_open = 9 if self.store.divided else TERMS.max_open  # several ledgers have a bound each
        self.model = Model(on_failure, ENDPOINTS, max_open, TERMS.max_deaths, RETENTION, REMEMBER)
        ledger_limits = msgspec.structs.replace(TERMS, on_failure=on_failure, max_open=max_open)
        self.ledger = self.do(self.store.open(ledger_limits, route=ENDPOINTS.__getitem__))
        self.do(self.ledger.expire(accepting=True, limit=1, capacity={}))
        self.uptime.tick(0.0, "counted")
        self.accept(given, capacity=1, kinds=[])

    def teardown(self) -> None:
        try:
            if self.agreed:
                self.finish()
        finally:
            self.close()

    def finish(self) -> None:
        """Whatever has happened, everything can be brought to its end."""

    def close(self) -> None:
        self.loop.run(self.store.close())
        self.loop.close()
        self.directory.cleanup()

    def do(self, step: Coroutine[Any, Any, R]) -> R:
        """Run one verb to its end."""
        self.agreed = False
        self.model.wall = rfc3339(self.store.clock.wall())
        return self.loop.run(step)

    @invariant()
    def the_step_was_taken(self) -> None:
        self.agreed = True

    def check(self) -> None:
        """All that the ledger shows is what the model says."""
        self.loop.run(compare(self.ledger, self.model, self.ids))

    @rule(given=packets, capacity=st.integers(0, 4), kinds=outcomes)
    def accept(self, given: list[Packet], capacity: int, kinds: list[str]) -> None:
        others_wait = self.model.due() and not self.store.divided  # a ledger does not know what waits in another
        capacity_left = 0 if others_wait else capacity
        batch = Batch(given)
        accepted = self.do(self.ledger.accept(batch.groups, capacity=capacity))
        assert [receipt.status for receipt in batch.in_order(accepted.receipts)] == self.model.accept(given)
        assert len(tasks_of(accepted.runs)) <= capacity_left
        self.check()
        self.handed(tasks_of(accepted.runs))
        self.report(tasks_of(accepted.runs), kinds)

    @precondition(lambda self: self.model.due())
    @rule(capacity=st.integers(0, 6), kinds=outcomes)
    def claim(self, capacity: int, kinds: list[str]) -> None:
        suspects = {(name, index): piece for name, index, piece in self.model.pieces() if piece.suspect}
        held, due = len(self.model.held), len(self.model.due())
        tasks = self.do(claim(self.ledger, capacity))
        if suspects:
            assert len(tasks) <= min(capacity, 1)
            assert all((task.key.resource_id, task.key.index) in suspects for task in tasks)
            assert not (tasks and any(piece.state is LEASED for piece in suspects.values()))
            assert tasks or held or not capacity
        else:
            assert len(tasks) <= min(capacity, due)
            assert tasks or not min(capacity, due)
        self.handed(tasks)
        self.check()
        self.report(tasks, kinds)

    def handed(self, tasks: Sequence[Task]) -> None:
        """Lease to the caller what must be due by the model."""
        due = self.model.due()
        for task in tasks:
            thing, index = self.model.things[task.key.resource_id], task.key.index
            piece = thing.pieces[index]
            assert (task.key.resource_id, index) in due
            assert (task.payload, task.attempt) == (piece.payload, piece.used + 1)
            assert webhook_id(task.key.resource_id, task.key.generation) == thing.webhook_id
            piece.state = LEASED
            self.model.held[task.lease] = thing, index, self.model.now + TASK_LEASE
        self.tasks = [*self.tasks, *tasks][-12:]

    def task(self, pick: int) -> Task:
        """One of the tasks handed out of late: those whose lease holds first, then those that have lost it."""
        tasks = sorted(self.tasks, key=lambda task: task.lease in self.model.held, reverse=True)
        return tasks[pick % len(tasks)]

    @precondition(lambda self: self.model.held)
    @rule(chosen=st.lists(picks, min_size=1, max_size=5), kinds=outcomes)
    def record(self, chosen: list[int], kinds: list[str]) -> None:
        self.report([self.task(pick) for pick in chosen], kinds)

    def report(self, tasks: Sequence[Task], kinds: list[str]) -> None:
        """Record an outcome for as many of *tasks* as there are *kinds*."""
        results = [self.result(task, kind) for task, kind in zip(tasks, kinds, strict=False)]
        outcome = self.do(self.ledger.record(joined(results), capacity={"a": 1}))
        for task, result, status in zip(tasks, results, outcome.statuses, strict=False):
            self.told(task, result, status)
        assert outcome.closed == self.model.close_finished()
        self.check()
        self.posted(outcome.deliveries)

    @staticmethod
    def result(task: Task, kind: str) -> Result:
        """A result of *kind* for *task*."""
        if kind == "output":
            return Output(task.lease, b'{"at":%d}' % task.key.index)
        if kind == "failure":
            return Failure(task.lease, "bad")
        return Retry(task.lease, "busy", 40.0 if kind == "retry" else 0.0, counted=kind != "given back")

    def told(self, task: Task, result: Result, status: Recorded) -> None:
        """Take *result* into the model, which must agree; of a generation that is over, LOST is as true as CLOSED."""
        if isinstance(result, Output):
            expected = self.model.outcome(result.lease, DONE, text=result.output.decode())
        elif isinstance(result, Failure):
            expected = self.model.outcome(result.lease, FAILED, text=result.reason)
        else:
            expected = self.model.outcome(result.lease, WAITING, delay=result.delay, used=result.counted)
        thing = self.model.things.get(task.key.resource_id)
        generation = webhook_id(task.key.resource_id, task.key.generation)
        over = thing is None or thing.state is not State.OPEN or thing.webhook_id != generation
        assert status is expected or (over and {status, expected} == {Recorded.LOST, Recorded.CLOSED})

    @precondition(lambda self: self.model.held)
    @rule(chosen=st.lists(picks, min_size=1, max_size=3), renew=st.booleans())
    def hold_or_give_back(self, chosen: list[int], renew: bool) -> None:
        if renew:
            self.renew(chosen)
        leases = set() if renew else {self.task(pick).lease for pick in chosen}
        self.do(self.ledger.release([*leases]))
        for lease in leases & {*self.model.held}:
            self.model.take_back(lease, used=False)
        self.check()

    def renew(self, chosen: list[int]) -> None:
        leases = [self.task(pick).lease for pick in chosen]
        for lease, held in zip(leases, self.do(self.ledger.renew(leases)), strict=True):
            if lease not in self.model.held:
                assert not held
                continue
            thing, index, _ = self.model.held[lease]
            assert held or thing.state is not State.OPEN
            self.model.held[lease] = thing, index, self.model.now + TASK_LEASE

    def posted(self, deliveries: Sequence[Delivery]) -> None:
        """Lease to the caller deliveries that must be due by the model, with the one body of their generation."""
        for delivery in deliveries:
            posts, body = self.model.things[delivery.resource_id].generation(delivery.webhook_id)
            post = posts[delivery.endpoint]
            assert post.due_at in self.model.posts_due(post.endpoint)
            assert (delivery.attempt, delivery.step) == (post.attempts + 1, post.step)
            assert self.loop.run(self.ledger.body(delivery)) == body
            self.model.let_go(post)
            self.model.posts_held[delivery.lease] = post, self.model.now + DELIVERY_LEASE
