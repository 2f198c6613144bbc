"""The other half of the machine: what time and people do, deliveries, and the stops of the process."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from collator.errors import Conflict, Ended, Unknown
from collator.exchange import Attempt, Delivery
from collator.states import DeliveryState, EndedBy, State
from tests.conformance.conftest import Opener
from tests.conformance.machine import DEADLINE, IDLE_TIMEOUT, Machine, names, picks
from tests.conformance.model import FAILED, Piece, Post, Thing
from tests.conformance.steps import PLENTY, places, purge

YEAR = 365 * 86_400.0

DELIVERED, DUE, DEAD = DeliveryState.DELIVERED, DeliveryState.DUE, DeliveryState.DEAD
seconds = st.sampled_from([1, 5, 19, 31, 60, 101])
endings = st.sampled_from([DELIVERED, DUE, DUE, DEAD])
ended = st.sampled_from([None, DEAD, DELIVERED])


class LedgerMachine(Machine):
    """The whole machine."""

    def __init__(self, opener: Opener) -> None:
        super().__init__(opener)
        self.sent: list[Delivery] = []
        self.jumped = 0.0

    # Time.

    @rule(passed=seconds)
    def wait(self, passed: int) -> None:
        self.engine.clock.advance(passed)
        self.model.now += passed
        self.model.lapse()
        self.look_for_overdue()

    def look_for_overdue(self) -> None:
        """What is due and held by nobody is found without any hint."""
        assert {*places(self.do(self.ledger.overdue(limit=PLENTY)))} == self.model.due()

    @rule(back=st.booleans())
    def jump(self, back: bool) -> None:
        """The wall jumps by a year, and later back again; nothing else may notice."""
        step = -self.jumped or (-YEAR if back else YEAR)
        self.engine.clock.jump_wall(step)
        self.jumped += step
        self.look_for_overdue()

    @rule(accepting=st.booleans())
    def expire(self, accepting: bool) -> None:
        outcome = self.do(self.ledger.expire(accepting=accepting, limit=PLENTY, room={"a": 1}))
        self.uptime.tick(self.model.now, "counted" if accepting else "refused")
        closed = [thing for thing in self.model.things.values() if thing.state is State.OPEN and self.timed_out(thing)]
        assert outcome.closed == len(closed)
        self.check()
        self.posted(outcome.deliveries)

    def timed_out(self, thing: Thing) -> bool:
        """Whether the ledger has closed *thing*, which it must, or may, or must not."""
        closed = self.do(self.ledger.resource(thing.resource_id)).state is not State.OPEN
        if self.model.now - thing.opened_at > DEADLINE:
            assert closed
            self.model.end(thing, State.INCOMPLETE, EndedBy.DEADLINE)
            return True
        complete = thing.total is not None and len(thing.pieces) == thing.total
        waits = not complete and all(piece.ended for piece in thing.pieces.values())
        least, most = self.uptime.since(thing.active_at)
        assert not closed or (waits and most > IDLE_TIMEOUT)
        assert closed or not (waits and least > IDLE_TIMEOUT)
        if closed:
            self.model.end(thing, State.INCOMPLETE, EndedBy.IDLE_TIMEOUT)
        return closed

    # People.

    @rule(name=names, total=st.none() | st.integers(1, 4), force=st.booleans())
    def complete(self, name: str, total: int | None, force: bool) -> None:
        thing = self.model.things.get(name)
        try:
            outcome = self.do(self.ledger.complete(name, total=total, force=force, room={"a": 1}))
        except Unknown:
            assert thing is None
            return
        except Conflict:
            assert thing is not None
            assert self.contradicts(thing, total)
            return
        assert thing is not None
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

    @rule(name=names)
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

    @rule(name=names)
    def retry(self, name: str) -> None:
        thing = self.model.things.get(name)
        try:
            keys = self.do(self.ledger.retry(name))
        except Unknown:
            assert thing is None
            return
        except Ended:
            assert thing is not None
            assert thing.state is not State.OPEN
            return
        assert thing is not None
        assert sorted(key.index for key in keys) == thing.indexes(FAILED)
        thing.pieces |= {key.index: Piece(thing.pieces[key.index].payload) for key in keys}
        self.check()

    # Deliveries.

    @rule(endpoint=st.sampled_from("ab"), room=st.integers(0, 3))
    def claim_deliveries(self, endpoint: str, room: int) -> None:
        due = self.model.posts_due(endpoint)
        deliveries = self.do(self.ledger.claim_deliveries(endpoint, room=room))
        posts = [self.model.things[delivery.resource_id].posts[endpoint] for delivery in deliveries]
        assert [post.due_at for post in posts] == due[:room]
        self.posted(deliveries)
        self.check()

    def posted(self, deliveries: Sequence[Delivery]) -> None:
        super().posted(deliveries)
        self.sent = [*self.sent, *deliveries][-8:]

    @precondition(lambda self: self.sent)
    @rule(chosen=st.lists(st.tuples(picks, endings, st.booleans()), min_size=1, max_size=4))
    def settle(self, chosen: list[tuple[int, DeliveryState, bool]]) -> None:
        attempts = [
            Attempt(self.sent[-1 - pick % len(self.sent)], state, "HTTP", 40.0, counted or state is not DUE)
            for pick, state, counted in chosen
        ]
        expected = [self.settled(attempt) for attempt in attempts]
        assert [*self.do(self.ledger.settle(attempts))] == expected
        self.check()

    def settled(self, attempt: Attempt) -> bool:
        """Take the end of an attempt into the model: whether it changed anything. A 2xx always does, but once."""
        delivery = attempt.delivery
        _, post, _ = self.model.posts_held.pop(delivery.lease, (None, None, None))
        thing = self.model.things.get(delivery.resource_id)
        if thing is None or thing.webhook_id != delivery.webhook_id:
            return False
        if post is None and attempt.state is DELIVERED and thing.posts[delivery.endpoint].state is not DELIVERED:
            post = thing.posts[delivery.endpoint]
        if post is None:
            return False
        self.advance(post, attempt)
        self.model.keep(thing)
        return True

    def advance(self, post: Post, attempt: Attempt) -> None:
        """A step of a delivery; where it has ended, nobody holds it any more."""
        post.state, post.due_at = attempt.state, self.model.now + attempt.delay
        post.attempts, post.step = post.attempts + attempt.counted, post.step + attempt.counted
        if attempt.state is not DUE:
            held = self.model.posts_held
            self.model.posts_held = {lease: one for lease, one in held.items() if one[1] is not post}

    @rule(name=st.none() | names, endpoint=st.sampled_from([None, "a", "b"]), state=ended)
    def replay(self, name: str | None, endpoint: str | None, state: DeliveryState | None) -> None:
        things = [thing for thing in self.model.things.values() if name in {None, thing.resource_id}]
        posts = [(thing, post) for thing in things for post in thing.posts.values()]
        try:
            endpoints = self.do(self.ledger.replay(resource_id=name, endpoint=endpoint, state=state))
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

    @rule(limit=st.sampled_from([1, 3, PLENTY]))
    def purge(self, limit: int) -> None:
        self.do(purge(self.ledger, limit))
        for name, thing in [*self.model.things.items()]:
            if thing.purge_at is not None and thing.purge_at <= self.model.now:
                del self.model.things[name]
        self.check()

    @rule(name=names)
    def purge_one(self, name: str) -> None:
        thing = self.model.things.get(name)
        open_or_due = thing is not None and (
            thing.state is State.OPEN or any(post.state is DUE for post in thing.posts.values())
        )
        try:
            self.do(self.ledger.purge(limit=PLENTY, resource_id=name))
        except Unknown:
            assert thing is None
            return
        except Conflict:
            assert open_or_due
            return
        assert not open_or_due
        self.model.things.pop(name, None)
        self.purge(PLENTY)

    # Stops.

    @precondition(lambda self: not self.jumped)
    @rule(down=st.sampled_from([0, 1, 60]), clean=st.booleans())
    def restart(self, down: int, clean: bool) -> None:
        stopped = self.model.now
        self.ledger = self.do((self.engine.reopen if clean else self.engine.crash)(down=down))
        self.model.now += down
        self.uptime.restart(stopped, self.model.now, clean=clean)
        self.model.stop(clean=clean)
        self.check()
        self.look_for_overdue()
