"""The other half of the machine: what time and people do, deliveries, and the stops of the process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from collator.clock import rfc3339
from collator.errors import Conflict, Ended, Unavailable, Unknown
from collator.messages import Attempt, Delivery, ResourceFilter, delivery_id
from collator.states import DeliveryState, EndedBy, State
from tests.conformance.machine import DEADLINE, IDLE_TIMEOUT, Machine, names, picks
from tests.conformance.model import FAILED, Piece, Thing
from tests.conformance.steps import PLENTY, purge, replay, retry_all, unfinished
from tests.conformance.store import NewStore

YEAR = 365 * 86_400.0

DELIVERED, DUE, DEAD = DeliveryState.DELIVERED, DeliveryState.DUE, DeliveryState.DEAD
seconds = st.sampled_from([1, 5, 19, 31, 60, 101])
Telling = tuple[int, DeliveryState, float]
"""Which delivery, how an attempt at it ended, and after how many seconds to try again."""
outcomes = st.sampled_from([DELIVERED, DUE, DUE, DEAD])
tellings = st.lists(st.tuples(picks, outcomes, st.sampled_from([0.0, 40.0])), max_size=4)
ended = st.sampled_from([None, DEAD, DELIVERED])


class LedgerMachine(Machine):
    """The whole machine."""

    def __init__(self, new_store: NewStore) -> None:
        super().__init__(new_store)
        self.sent: list[Delivery] = []
        self.jumped = 0.0

    # Time.

    @rule(passed=seconds, look=st.sampled_from([True, True, False, None]))
    def wait(self, passed: int, look: bool | None) -> None:
        """Time passes, and the service may look for silence: while it accepts, or while it refuses."""
        self.store.clock.advance(passed)
        self.model.now += passed
        self.model.lapse()
        self.look_for_overdue()
        if look is not None:
            self.expire(accepting=look)

    def look_for_overdue(self) -> None:
        """That something is due and held by nobody is found without any hint."""
        assert self.do(self.ledger.work_due()) is bool(self.model.due())

    @precondition(lambda self: self.store.wall_jumps)
    @rule(years=st.sampled_from([-1, 1]))
    def jump(self, years: int) -> None:
        """The wall jumps, and later back again; nothing else may notice."""
        step = -self.jumped or years * YEAR
        self.store.clock.jump_wall(step)
        self.jumped += step
        self.look_for_overdue()

    def expire(self, *, accepting: bool) -> None:
        steps = [self.do(self.ledger.expire(accepting=accepting, limit=PLENTY, capacity={"a": 1}))]
        while steps[-1].more:  # on a machine that is busy, the time of one step ends early
            steps.append(self.do(self.ledger.expire(accepting=accepting, limit=PLENTY, capacity={})))
        self.uptime.tick(self.model.now, "counted" if accepting else "refused")
        closed = [thing for thing in self.model.things.values() if thing.state is State.OPEN and self.timed_out(thing)]
        assert sum(step.closed for step in steps) == len(closed)
        self.check()
        self.posted(steps[0].deliveries)

    def timed_out(self, thing: Thing) -> bool:
        """Whether the ledger has closed *thing*, which it must, or may, or must not."""
        closed = self.do(self.ledger.resource(thing.resource_id)).state is not State.OPEN
        if self.model.now - thing.opened_at > DEADLINE:
            assert closed
            self.model.end(thing, State.INCOMPLETE, EndedBy.DEADLINE)
            return True
        complete = thing.total is not None and len(thing.pieces) == thing.total
        waits = not complete and all(piece.ended for piece in thing.pieces.values())
        least = self.uptime.least(max(thing.active_at, thing.heard_at), thing.opened_at)
        most = self.uptime.most(thing.active_at)
        assert not closed or (waits and most > IDLE_TIMEOUT)
        assert closed or not (waits and least > IDLE_TIMEOUT)
        if closed:
            self.model.end(thing, State.INCOMPLETE, EndedBy.IDLE_TIMEOUT)
        return closed

    # People.

    @rule(name=names, total=st.sampled_from([None, 3, 3, 1, 4, 0]), force=st.booleans())
    def complete(self, name: str, total: int | None, force: bool) -> None:
        thing = self.model.things.get(name)
        try:
            outcome = self.do(self.ledger.complete(name, total=total, force=force, capacity={"a": 1}))
        except Unknown:
            assert thing is None
            assert total != 0 or name in self.model.gone
            return
        except Conflict:
            assert thing is not None
            assert self.contradicts(thing, total)
            return
        if thing is None:
            assert (total, name in self.model.gone) == (0, False)
            assert outcome.closed == 1
        thing = thing or self.model.open_empty(name)
        assert not self.contradicts(thing, total)
        before = self.model.count(State.OPEN)
        self.completed(thing, total, force)
        assert outcome.closed == before - self.model.count(State.OPEN)
        self.check()
        self.posted(outcome.deliveries)

    @staticmethod
    def contradicts(thing: Thing, total: int | None) -> bool:
        """Whether *thing* cannot have *total*."""
        if total is None:
            return False
        return total != thing.total if thing.total or thing.state is not State.OPEN else total < thing.end

    def completed(self, thing: Thing, total: int | None, force: bool) -> None:
        if thing.state is not State.OPEN:
            return
        if total is not None and thing.total is None:
            thing.total, thing.total_by = total, EndedBy.TOTAL
        self.model.close_finished()
        if force and thing.state is State.OPEN:
            self.model.force(thing)

    @rule(name=names, what=st.sampled_from(["cancel", "retry", "retry", "purge"]))
    def repair(self, name: str, what: str) -> None:
        {"cancel": self.cancel, "retry": self.retry, "purge": self.purge_one}[what](name)

    def cancel(self, name: str) -> None:
        thing = self.model.things.get(name)
        try:
            self.do(self.ledger.cancel(name))
        except Unknown:
            assert thing is None
            return
        except Ended:
            assert thing is not None
            assert thing.state in {State.COLLATED, State.INCOMPLETE}
            return
        assert thing is not None
        if thing.state is State.OPEN:
            self.model.end(thing, State.CANCELLED, None)
        assert thing.state is State.CANCELLED
        self.check()

    def retry(self, name: str) -> None:
        thing = self.model.things.get(name)
        try:
            retried = self.do(self.ledger.retry(name))
        except Unknown:
            assert thing is None
            return
        except Ended:
            assert thing is not None
            assert thing.state is not State.OPEN
            assert not thing.mendable
            return
        except Unavailable:
            assert thing is not None
            assert thing.mendable
            assert self.model.count(State.OPEN) == self.model.max_open
            return
        assert thing is not None
        assert retried == self.retried(thing)
        self.check()

    def retried(self, thing: Thing) -> int:
        """What has no output is tried again: how many packets."""
        if thing.state is not State.OPEN:
            return self.model.reopen(thing)
        failed = thing.indexes(FAILED)
        thing.pieces |= {index: Piece(thing.pieces[index].payload) for index in failed}
        return len(failed)

    @precondition(lambda self: any(thing.mendable or thing.indexes(FAILED) for thing in self.model.things.values()))
    @rule(state=st.sampled_from([State.INCOMPLETE, State.INCOMPLETE, State.OPEN]), limit=st.integers(1, 4))
    def retry_all(self, state: State, limit: int) -> None:
        """A retry of many finds what a look before it finds, and stops where a limit allows no more."""
        wanted = ResourceFilter(state=state)
        things = [thing for _, thing in sorted(self.model.things.items()) if thing.state is state]
        things = [thing for thing in things if thing.mendable or (state is State.OPEN and thing.indexes(FAILED))]
        found = self.do(unfinished(self.ledger, wanted, limit))
        assert [(one.resource_id, one.webhook_id) for one in found] == [
            (one.resource_id, one.webhook_id) for one in things
        ]
        room = len(things) if state is State.OPEN else self.model.max_open - self.model.count(State.OPEN)
        packets = self.do(retry_all(self.ledger, wanted, limit))
        assert packets == sum(self.retried(thing) for thing in things[:room])
        self.check()

    # Deliveries.

    @precondition(lambda self: self.model.posts())
    @rule(endpoint=st.sampled_from("aab"), capacity=st.integers(0, 3), chosen=tellings)
    def claim_deliveries(self, endpoint: str, capacity: int, chosen: list[Telling]) -> None:
        due = self.model.posts_due(endpoint)
        deliveries = self.do(self.ledger.claim_deliveries(endpoint, capacity=capacity))
        generations = [self.model.things[one.resource_id].generation(one.webhook_id) for one in deliveries]
        found = [posts[endpoint].due_at for posts, _ in generations]
        assert len(found) == len(due[:capacity])
        assert not Counter(found) - Counter(due)
        # Half of them are those that became due last; several ledgers have an order each.
        assert capacity < 2 or self.store.divided or found[:1] == due[:1]
        self.posted(deliveries)
        self.check()
        if deliveries:
            self.settle(chosen)

    def posted(self, deliveries: Sequence[Delivery]) -> None:
        super().posted(deliveries)
        self.sent = [*self.sent, *deliveries][-8:]

    @precondition(lambda self: self.model.posts_held)
    @rule(chosen=tellings)
    def settle(self, chosen: list[Telling]) -> None:
        sent = sorted(self.sent, key=lambda delivery: delivery.lease in self.model.posts_held, reverse=True)
        attempts = [
            Attempt(sent[pick % len(sent)], state, "HTTP", delay, counted=state is not DUE or pick % 4 > 0)
            for pick, state, delay in chosen
        ]
        changed = self.do(self.ledger.record_attempts(attempts))
        assert None not in changed
        for attempt, answer in zip(attempts, changed, strict=True):
            self.settled(attempt, bool(answer))
        self.check()

    def settled(self, attempt: Attempt, changed: bool) -> None:
        """Take the end of an attempt into the model. A 2xx counts once; anything else under its lease only.

        Under a lease that has ended, and that nobody else has got since, either answer is right.
        """
        delivery, now = attempt.delivery, self.model.now
        thing = self.model.things.get(delivery.resource_id)
        post = thing.generation(delivery.webhook_id)[0].get(delivery.endpoint) if thing else None
        if thing is None or post is None:
            assert not changed
            return
        _, until = self.model.posts_held.pop(delivery.lease, (None, None))
        wins = attempt.state is DELIVERED and post.state is not DELIVERED
        assert changed or not (wins or (until is not None and until > now))
        assert not changed or wins or until is not None
        if changed:
            post.state, post.due_at = attempt.state, now + attempt.delay
            post.attempts, post.step = post.attempts + attempt.counted, post.step + attempt.counted
            self.model.let_go(post)
            self.model.keep(thing)

    @precondition(lambda self: any(post.state is not DUE for post in self.model.posts()))
    @rule(name=st.none() | names, endpoint=st.sampled_from([None, "a", "b"]), state=ended, limit=st.integers(1, 3))
    def replay(self, name: str | None, endpoint: str | None, state: DeliveryState | None, limit: int) -> None:
        things = [thing for thing in self.model.things.values() if name in {None, thing.resource_id}]
        posts = [(thing, post) for thing in things for post in thing.all_posts]
        try:
            endpoints = self.do(replay(self.ledger, limit=limit, resource_id=name, endpoint=endpoint, state=state))
        except Unknown:
            assert name is not None
            assert not posts
            return
        assert posts or name is None
        chosen = [(thing, post) for thing, post in posts if post.state is not DUE and endpoint in {None, post.endpoint}]
        chosen = [(thing, post) for thing, post in chosen if state in {None, post.state}]
        for thing, post in chosen:
            post.state, post.due_at, post.step = DUE, self.model.now, 0
            self.model.keep(thing)
        assert endpoints >= {post.endpoint for _, post in chosen}
        self.check()

    @precondition(lambda self: any(post.state is not DELIVERED for post in self.model.posts()))
    @rule(name=names, endpoint=st.sampled_from("ab"), back=st.integers(0, 2))
    def give_up(self, name: str, endpoint: str, back: int) -> None:
        thing = self.model.things.get(name)
        ids = [*(one.webhook_id for one in thing.past), thing.webhook_id][-1 - back :] if thing else [""]
        post = thing.generation(ids[0])[0].get(endpoint) if thing else None
        try:
            self.do(self.ledger.give_up(delivery_id(ids[0], endpoint)))
        except Unknown:
            assert post is None
            return
        except Ended:
            assert post is not None
            assert post.state is DELIVERED
            return
        assert thing is not None
        assert post is not None
        assert post.state is not DELIVERED
        post.state = DEAD
        self.model.let_go(post)
        self.model.keep(thing)
        self.check()

    @precondition(lambda self: self.model.gone or any(one.purge_at is not None for one in self.model.things.values()))
    @rule(limit=st.sampled_from([1, 3, PLENTY]))
    def purge(self, limit: int) -> None:
        self.do(purge(self.ledger, limit))
        self.model.forget()
        self.check()

    def purge_one(self, name: str) -> None:
        thing = self.model.things.get(name)
        open_or_due = thing is not None and (
            thing.state is State.OPEN or any(post.state is DUE for post in thing.all_posts)
        )
        try:
            self.do(self.ledger.purge(limit=PLENTY, resource_id=name))
        except Unknown:
            assert thing is None
            assert name not in self.model.gone
            return
        except Conflict:
            assert open_or_due
            return
        assert not open_or_due
        self.model.things.pop(name, None)
        self.model.gone.pop(name, None)
        self.purge(PLENTY)

    # Stops.

    @precondition(lambda self: not self.jumped)
    @rule(down=st.sampled_from([0, 1, 60]), clean=st.booleans(), executor=st.lists(st.integers(0, 3), max_size=3))
    def stop(self, down: int, clean: bool, executor: list[int]) -> None:
        """Stop and start; before that the same as often as there are *executor*, with so many packets in work."""
        for capacity in executor:
            self.claim(capacity=capacity, kinds=[])
            self.restart(0, clean)
        self.restart(down, clean)

    def restart(self, down: int, clean: bool) -> None:
        stopped = self.model.now
        self.ledger = self.do((self.store.reopen if clean else self.store.crash)(down=down))
        self.model.now, self.model.wall = stopped + down, rfc3339(self.store.clock.wall())
        self.uptime.restart(stopped, self.model.now, clean=clean)
        self.model.stop(clean=clean)
        self.check()
        self.look_for_overdue()

    def finish(self) -> None:
        """Process, force, deliver and forget all there is: nothing hangs, and nothing is left."""
        if self.jumped:
            self.jump(years=1)
        self.wait(passed=101, look=None)
        while self.model.due():
            self.claim(capacity=PLENTY, kinds=["output"] * 50)
        for name in self.model.things:
            self.complete(name=name, total=None, force=True)
        self.wait(passed=101, look=None)
        for state in (DEAD, None):
            if any(post.state is state for post in self.model.posts()):
                self.replay(name=None, endpoint=None, state=state, limit=PLENTY)
            for endpoint in "ab":
                self.deliver_all(endpoint)
        self.wait(passed=101, look=None)
        self.purge(limit=PLENTY)
        assert not self.model.things
        self.wait(passed=101, look=None)
        self.do(purge(self.ledger))
        self.model.forget()
        assert not self.model.gone
        self.check()

    def deliver_all(self, endpoint: str) -> None:
        self.sent = []
        if self.model.posts_due(endpoint):
            self.claim_deliveries(endpoint=endpoint, capacity=8, chosen=[(place, DELIVERED, 0.0) for place in range(8)])


def run_machine(new_store: NewStore, *, share: int = 1) -> None:
    """Run the machine on stores that are made by *new_store*: one of *share* of the examples of the profile."""

    class OneLedger(LedgerMachine):
        def __init__(self) -> None:
            super().__init__(new_store)

    # Repeatable examples are shown as they were found, since to shrink one takes minutes; HYPOTHESIS_PROFILE=thorough
    # looks for new ones and shrinks them.
    phases = (Phase.explicit, Phase.generate) if settings().derandomize else settings().phases
    examples = settings().max_examples // share
    run_state_machine_as_test(
        OneLedger, settings=settings(max_examples=examples, stateful_step_count=50, phases=phases)
    )
