"""What a ledger has to say, told a second time: the rules in plain Python over plain values; no store, no clock.

Written from the design alone. It shares no decision with the package, only its words (states, statuses), so that a
mistake in the rules cannot hide by being made twice. A step closes what it has finished when it ends (R12).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from collator.messages import Counts, Lease, Recorded
from collator.packet import Packet, Status
from collator.rules.footprint import of_packet, of_resource
from collator.states import DeliveryState, EndedBy, OnFailure, PacketState, State

WAITING, LEASED, DONE, FAILED = PacketState.WAITING, PacketState.LEASED, PacketState.DONE, PacketState.FAILED


@dataclass(eq=False)
class Piece:
    """A packet that was received."""

    payload: bytes
    state: PacketState = WAITING
    due_at: float = 0.0
    used: int = 0
    """Attempts used up."""
    deaths: int = 0
    suspect: bool = False
    output: bytes = b""
    reason: str = ""
    seq: int = 0
    """The number of its outcome; where the order of recording is not known, learned from the ledger."""

    @property
    def ended(self) -> bool:
        return self.state in {DONE, FAILED}


@dataclass(eq=False)
class Post:
    """A delivery; who holds it stands in `Model.posts_held`."""

    endpoint: str
    due_at: float
    state: DeliveryState = DeliveryState.DUE
    attempts: int = 0
    step: int = 0


@dataclass(eq=False)
class Past:
    """A generation that a retry has superseded."""

    webhook_id: str
    body: bytes
    posts: dict[str, Post]


@dataclass(eq=False)
class Thing:
    """A resource, as the generation that it is."""

    resource_id: str
    opened_at: float
    active_at: float
    """When the last packet was accepted or the last outcome recorded: silence runs from here (R13)."""
    heard_at: float = 0.0
    """When a repeat brought a total or metadata: silence may run from here."""
    pieces: dict[int, Piece] = field(default_factory=dict)
    total: int | None = None
    total_by: EndedBy | None = None
    metadata: bytes = b""
    state: State = State.OPEN
    ended_by: EndedBy | None = None
    closed_at: str = ""
    posts: dict[str, Post] = field(default_factory=dict)
    purge_at: float | None = None
    seq: int = 0
    """The number of the outcome that was recorded last (R26)."""
    webhook_id: str = ""
    """Learned from the ledger when it opens; must never change."""
    past: list[Past] = field(default_factory=list)
    """The generations before."""

    def indexes(self, *states: PacketState) -> list[int]:
        """The indexes of the packets in one of *states*, ascending."""
        return sorted(index for index, piece in self.pieces.items() if piece.state in states)

    @property
    def all_posts(self) -> list[Post]:
        """The deliveries of all generations."""
        return [post for posts in (self.posts, *(one.posts for one in self.past)) for post in posts.values()]

    def generation(self, webhook_id: str) -> tuple[dict[str, Post], bytes]:
        """The deliveries and the body of the generation with *webhook_id*."""
        for one in self.past:
            if one.webhook_id == webhook_id:
                return one.posts, one.body
        return (self.posts, body(self)) if webhook_id == self.webhook_id else ({}, b"")

    @property
    def mendable(self) -> bool:
        """Whether it has ended early, and packets that it had received have no output (R16)."""
        return self.state is State.INCOMPLETE and self.indexes(DONE) != self.indexes(*PacketState)

    @property
    def end(self) -> int:
        """One more than the highest index that is known of."""
        return max(self.pieces, default=-1) + 1 if self.total is None else self.total


@dataclass
class Model:
    """All that was acknowledged, and by which limits it is judged."""

    on_failure: OnFailure
    endpoints: Mapping[str, Sequence[str]]
    max_open: int
    max_deaths: int
    retention: float
    remember: float
    now: float = 0.0
    wall: str = ""
    """The wall clock as RFC 3339: what a closing gets as its time."""
    things: dict[str, Thing] = field(default_factory=dict)
    gone: dict[str, tuple[set[int], float]] = field(default_factory=dict)
    """What is remembered of those that were forgotten after their retention: their indexes, and when that was (R25)."""
    held: dict[Lease, tuple[Thing, int, float]] = field(default_factory=dict)
    """Leases on packets: whose, which index, until when."""
    posts_held: dict[Lease, tuple[Post, float]] = field(default_factory=dict)
    """Leases on deliveries, and until when. One that has ended stays here until another is given."""

    # Accepting: R4 to R9.

    def accept(self, packets: Sequence[Packet]) -> list[Status]:
        """What becomes of each packet of a batch."""
        statuses = [self._accept_one(packet) for packet in packets]
        self.close_finished()
        return statuses

    def _accept_one(self, packet: Packet) -> Status:
        name = str(packet.resource_id)
        thing = self.things.get(name)
        if name in self.gone:
            return Status.DUPLICATE if packet.index in self.gone[name][0] else Status.CLOSED
        if thing is None and sum(one.state is State.OPEN for one in self.things.values()) >= self.max_open:
            return Status.REFUSED
        thing = thing or Thing(name, self.now, self.now)
        if thing.state is not State.OPEN:
            return Status.DUPLICATE if packet.index in thing.pieces else Status.CLOSED
        if self._contradicts(packet, thing):
            return Status.CONFLICT
        self.things[name] = thing
        return self._take(packet, thing)

    @staticmethod
    def _contradicts(packet: Packet, thing: Thing) -> bool:
        piece = thing.pieces.get(packet.index)
        total = packet.index + 1 if packet.last else packet.total
        metadata = bytes(packet.metadata)
        return (
            (piece is not None and piece.payload != bytes(packet.payload))
            or (total is not None and thing.total is not None and total != thing.total)
            or (total is not None and any(index >= total for index in thing.pieces))
            or (thing.total is not None and packet.index >= thing.total)
            or metadata not in {b"", thing.metadata or metadata}
        )

    def _take(self, packet: Packet, thing: Thing) -> Status:
        if packet.last or packet.total is not None or packet.metadata:
            thing.heard_at = self.now
        if thing.total is None and (packet.last or packet.total is not None):
            thing.total = packet.index + 1 if packet.last else packet.total
            thing.total_by = EndedBy.LAST if packet.last else EndedBy.TOTAL
        thing.metadata = bytes(packet.metadata) or thing.metadata
        if packet.index in thing.pieces:
            return Status.DUPLICATE
        thing.pieces[packet.index] = Piece(bytes(packet.payload))
        thing.active_at = self.now
        return Status.ACCEPTED

    # Finishing: R10, R12, R15, R16.

    def close_finished(self) -> int:
        """End what is finished: how many."""
        before = self.count(State.OPEN)
        for thing in self.things.values():
            if thing.state is State.OPEN:
                self._finish(thing)
        return before - self.count(State.OPEN)

    def _finish(self, thing: Thing) -> None:
        failed = thing.indexes(FAILED)
        if failed and self.on_failure is OnFailure.FAIL_FAST:
            self.end(thing, State.INCOMPLETE, EndedBy.FAILURE)
        elif thing.total is not None and thing.indexes(DONE, FAILED) == [*range(thing.total)]:
            if not failed:
                self.end(thing, State.COLLATED, thing.total_by)
            elif self.on_failure is OnFailure.INCOMPLETE:
                self.end(thing, State.INCOMPLETE, thing.total_by)

    def force(self, thing: Thing) -> None:
        """Close now, by a person."""
        whole = thing.indexes(DONE) == [*range(thing.end)]
        self.end(thing, State.COLLATED if whole else State.INCOMPLETE, EndedBy.FORCED)

    def end(self, thing: Thing, state: State, ended_by: EndedBy | None) -> None:
        """The atomic end."""
        thing.state, thing.ended_by, thing.closed_at = state, ended_by, self.wall
        if state is State.COLLATED:
            thing.total = thing.end
        endpoints = [] if state is State.CANCELLED else self.endpoints[thing.resource_id]
        thing.posts = {endpoint: Post(endpoint, self.now) for endpoint in endpoints}
        self.keep(thing)

    def keep(self, thing: Thing) -> None:
        """Retention runs from the end of the last delivery; a dead one is kept for ever (R25)."""
        ended = thing.state is not State.OPEN
        ended = ended and all(post.state is DeliveryState.DELIVERED for post in thing.all_posts)
        thing.purge_at = self.now + self.retention if ended else None

    def reopen(self, thing: Thing) -> int:
        """Go on as a new generation, with what has no output: how many packets (R16)."""
        thing.past.append(Past(thing.webhook_id, body(thing), thing.posts))
        thing.posts, thing.webhook_id, thing.state, thing.ended_by, thing.purge_at = {}, "", State.OPEN, None, None
        thing.opened_at = thing.active_at = thing.heard_at = self.now
        thing.seq += 1  # which no outcome gets
        again = thing.indexes(WAITING, LEASED, FAILED)
        thing.pieces |= {index: Piece(thing.pieces[index].payload) for index in again}
        self.held = {lease: held for lease, held in self.held.items() if held[0] is not thing}
        return len(again)

    # Outcomes.

    def outcome(
        self, lease: Lease, state: PacketState, *, text: str = "", delay: float = 0.0, used: bool = True
    ) -> Recorded:
        """Take the outcome under *lease*: an output, a failure, or a retry where *state* is `WAITING`."""
        if lease not in self.held:
            return Recorded.LOST
        thing, index, _ = self.held.pop(lease)
        if thing.state is not State.OPEN:
            return Recorded.CLOSED
        piece = thing.pieces[index]
        piece.state, piece.suspect, piece.used = state, False, piece.used + used
        if state is WAITING:
            piece.due_at = self.now + delay
        else:
            piece.output, piece.reason = (text.encode(), "") if state is DONE else (b"", text)
            thing.active_at = self.now
            thing.seq = piece.seq = thing.seq + 1
        return Recorded.RECORDED

    def take_back(self, lease: Lease, *, used: bool) -> None:
        """End *lease* without an outcome."""
        thing, index, _ = self.held.pop(lease)
        piece = thing.pieces[index]
        if thing.state is State.OPEN:
            piece.state, piece.used = WAITING, piece.used + used

    def lapse(self) -> None:
        """Time has passed: leases that have ended are nobody's."""
        for lease in [lease for lease, (_, _, until) in self.held.items() if until <= self.now]:
            self.take_back(lease, used=True)

    def stop(self, *, clean: bool) -> None:
        """The process ends; the next has no lease. What was in work when it died is suspect.

        Who was in work alone has ended it, and has failed when that was once too often.
        """
        in_work = [(thing, thing.pieces[index]) for thing, index, _ in self.held.values() if thing.state is State.OPEN]
        for lease in [*self.held]:
            self.take_back(lease, used=False)
        self.posts_held.clear()
        for thing, piece in [] if clean else in_work:
            piece.deaths += len(in_work) == 1  # who was not alone may be innocent
            piece.suspect = piece.deaths < self.max_deaths
            if not piece.suspect:
                piece.state, piece.reason = FAILED, "died"
                thing.seq = piece.seq = thing.seq + 1
        self.close_finished()

    # Forgetting: R25.

    def open_empty(self, name: str) -> Thing:
        """A new generation without packets, as a total of 0 opens it (R10)."""
        self.things[name] = Thing(name, self.now, self.now)
        return self.things[name]

    def forget(self) -> None:
        """What is past its retention goes, and what is remembered of it goes later."""
        for name, thing in [*self.things.items()]:
            if thing.purge_at is not None and thing.purge_at <= self.now:
                self.gone[name] = {*thing.pieces}, self.now
                del self.things[name]
        self.gone = {name: gone for name, gone in self.gone.items() if gone[1] > self.now - self.remember}

    # Looking.

    def pieces(self) -> Iterator[tuple[str, int, Piece]]:
        """Packets of open resources that have no outcome."""
        for name, thing in self.things.items():
            for index, piece in thing.pieces.items():
                if thing.state is State.OPEN and not piece.ended:
                    yield name, index, piece

    def due(self) -> set[tuple[str, int]]:
        """Packets that are due and held by nobody."""
        return {
            (name, index) for name, index, piece in self.pieces() if piece.state is WAITING and piece.due_at <= self.now
        }

    def posts_due(self, endpoint: str) -> list[float]:
        """Since when each delivery is due that is held by nobody, the longest first."""
        held = {id(post) for post, until in self.posts_held.values() if until > self.now}
        posts = [post for post in self.posts() if post.endpoint == endpoint and id(post) not in held]
        return sorted(post.due_at for post in posts if post.state is DeliveryState.DUE and post.due_at <= self.now)

    def let_go(self, post: Post) -> None:
        """Nobody holds *post* any more."""
        self.posts_held = {lease: held for lease, held in self.posts_held.items() if held[0] is not post}

    def posts(self) -> list[Post]:
        """All deliveries."""
        return [post for thing in self.things.values() for post in thing.all_posts]

    def count(self, state: State) -> int:
        return sum(thing.state is state for thing in self.things.values())

    def counts(self) -> Counts:
        """What the ledger's counters must say."""
        waiting = [piece for _, _, piece in self.pieces()]
        posts = [post.state for post in self.posts()]
        opened = sum(
            of_resource(name, thing.metadata) for name, thing in self.things.items() if thing.state is State.OPEN
        )
        return Counts(
            **{state.value: self.count(state) for state in State},
            waiting=len(waiting),
            backlog=sum(of_packet(len(piece.payload)) for piece in waiting) + opened,
            open_bytes=opened,
            due=posts.count(DeliveryState.DUE),
            dead=posts.count(DeliveryState.DEAD),
            remembered=len(self.gone),
        )


def spans(indexes: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending *indexes* as inclusive ranges."""
    starts = [index for index in indexes if index - 1 not in indexes]
    ends = [index for index in indexes if index + 1 not in indexes]
    return [*zip(starts, ends, strict=True)]


def missing(thing: Thing) -> list[tuple[int, int]]:
    """What was never received."""
    return spans([index for index in range(thing.end) if index not in thing.pieces])


def body(thing: Thing) -> bytes:
    """The webhook's body, byte for byte (R17, R18)."""
    done = thing.indexes(DONE)
    data: dict[str, object] = {
        "resource_id": thing.resource_id,
        "completed_by": thing.ended_by,
        "total": thing.total,
        "metadata": json.loads(thing.metadata or b"{}"),
    }
    if thing.past:
        data["supersedes"] = thing.past[-1].webhook_id
    if thing.state is State.COLLATED:
        data["outputs"] = [json.loads(thing.pieces[index].output) for index in done]
    else:
        data["partial"] = [{"index": index, "output": json.loads(thing.pieces[index].output)} for index in done]
        data["missing"] = missing(thing)
        data["unfinished"] = spans(thing.indexes(WAITING, LEASED))
        data["failed"] = [
            {"index": index, "reason": thing.pieces[index].reason, "attempts": thing.pieces[index].used}
            for index in thing.indexes(FAILED)
        ]
    said = {"type": f"resource.{thing.state}", "timestamp": thing.closed_at, "data": data}
    return json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode()
