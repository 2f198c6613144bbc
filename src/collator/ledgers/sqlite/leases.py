"""Leases, in memory. One process owns the data directory: it is the one holder, and its leases end with it.

Each packet of a run has a number of its own, one higher than the one before: so the lease of a packet is the token of
its run, and its place. All that is held under these numbers is the run, once: what it has of each packet is at its
place (docs/decisions/041, step 4).

Changes are made inside a transaction of the store and undone with it: `rollback` restores what `begin` found.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Generic, TypeVar

import msgspec

from collator.messages import Lease
from collator.rules.outcomes import taken
from collator.rules.resource import INDEX_BITS


class Held(msgspec.Struct, gc=False):
    """A delivery that is leased."""

    key: int
    """Its row."""
    until: float
    """When the lease ends, by `Store.running`."""
    endpoint: str = ""
    """Whom it is for."""
    resource_row: int | None = None
    """The resource of one that was never attempted: while this holds, all but its note is as it was created."""


class HeldRun(msgspec.Struct, gc=False):
    """Packets of one resource that were leased together."""

    resource_row: int
    until: float
    """When their leases end, by `Store.running`."""
    indexes: Sequence[int]
    sizes: Sequence[int]
    """Bytes of their payloads."""
    used: Sequence[int | None] = ()
    """Attempts that each has used up, `None` of one on which the store has no row; empty where it has none at all."""
    suspect: bool = False
    """Whether they were in work when the process died."""
    alone_until: float = 0.0
    """Until when, by `Store.running`, no packet is handed out beside them."""
    token: int = 0
    """The number of the first."""

    def key(self, position: int) -> int:
        """The key of the packet at *position*."""
        return self.resource_row << INDEX_BITS | self.indexes[position]

    def attempt(self, position: int) -> int:
        """The attempt for which the packet at *position* is held, 1 for the first."""
        return ((self.used[position] if self.used else None) or 0) + 1


H = TypeVar("H", Held, HeldRun)

EndedLeases = tuple[HeldRun, Sequence[int], Sequence[int]]
"""A run, the positions of the leases on it that have ended now, and the places at which they were named."""


def number_of(lease: Lease) -> int:
    """Return the number under which a packet or a delivery is held."""
    return lease.token + lease.position


class LeaseTable(Generic[H]):
    """Leases of one kind, by number."""

    def __init__(self, kind: int) -> None:
        """Start empty, with numbers that no earlier process gave, and no other *kind* (0 or 1) in this one."""
        self._held: dict[int, H] = {}
        self._next = (int.from_bytes(os.urandom(5)) << 22) + (kind << 62)
        self._dropped: list[tuple[int, H]] = []
        self._earliest = float("inf")
        self._before = (self._next, self._earliest)

    def __len__(self) -> int:
        """The number of leases."""
        return len(self._held)

    def get(self, number: int) -> H | None:
        """The packets or the delivery under the lease *number*, if it has not ended."""
        return self._held.get(number)

    def prolong(self, number: int, until: float) -> bool:
        """Let *number*, with all of its run, hold until *until*; whether it still held."""
        held = self._held.get(number)
        if held is not None:
            held.until = until
        return held is not None

    def numbers(self) -> list[int]:
        """All leases that hold."""
        return list(self._held)

    def expired(self, now: float) -> list[int]:
        """The numbers of leases that have ended by *now*."""
        if now < self._earliest:
            return []
        self._earliest = min((held.until for held in self._held.values() if held.until > now), default=float("inf"))
        return [number for number, held in self._held.items() if held.until <= now]

    def begin(self) -> None:
        """From here on `rollback` can undo grants and drops, and that `expired` has told of the ended ones."""
        self._before = (self._next, self._earliest)
        self._dropped.clear()

    def rollback(self) -> None:
        """Undo every grant and drop since `begin`."""
        self._held.update(self._dropped)
        self._dropped.clear()
        last, self._earliest = self._before
        for number in range(last + 1, self._next + 1):
            self._held.pop(number, None)
        self._next = last

    def _grant(self, held: H, number: int) -> int:
        """Lease *held* under as many numbers as *number* says; the first, one higher than the last before."""
        first = self._next + 1
        self._next += number
        if number == 1:
            self._held[first] = held
        else:
            self._held.update(dict.fromkeys(range(first, first + number), held))
        self._earliest = min(self._earliest, held.until)
        return first


class DeliveryLeases(LeaseTable[Held]):
    """Leases on deliveries, each of which has at most one."""

    def grant(self, held: Held) -> int:
        """Lease *held*; its number."""
        return self._grant(held, 1)

    def drop(self, number: int) -> Held | None:
        """End the lease *number*; what it held, if it still did."""
        return self.drop_all([number])[0]

    def drop_all(self, numbers: Sequence[int]) -> list[Held | None]:
        """End the leases *numbers*; what each held, if it still did."""
        ended = [self._held.pop(number, None) for number in numbers]
        self._dropped += [(number, held) for number, held in zip(numbers, ended, strict=True) if held is not None]
        return ended

    def drop_key(self, key: int) -> Held | None:
        """End the lease on *key*; what it held, if somebody had one."""
        number = next((number for number, held in self._held.items() if held.key == key), None)
        return None if number is None else self.drop(number)

    def keys(self, endpoint: str) -> set[int]:
        """All deliveries to *endpoint* that somebody holds."""
        return {held.key for held in self._held.values() if held.endpoint == endpoint}


class PacketLeases(LeaseTable[HeldRun]):
    """Leases on packets, each of which has at most one."""

    def __init__(self, kind: int) -> None:
        """Start as any table."""
        super().__init__(kind)
        self._alone_until = 0.0  # no lease is alone for longer
        self._ended: list[EndedLeases] = []
        self.size = self._size_before = 0
        """Payload bytes of all that is held."""

    def grant(self, run: HeldRun) -> int:
        """Lease the packets of *run*; the number of the first, which those of the others follow."""
        run.token = self._grant(run, len(run.indexes))
        self.size += sum(run.sizes)
        self._alone_until = max(self._alone_until, run.alone_until)
        return run.token

    def end(self, numbers: Iterable[int]) -> list[EndedLeases]:
        """End the leases *numbers*; see `EndedLeases`."""
        return self.end_spans((number, 1) for number in numbers)

    def end_spans(self, spans: Iterable[tuple[int, int]]) -> list[EndedLeases]:
        """End the leases of each of *spans*, which is a number and how many follow each other from it on."""
        found: list[EndedLeases] = []
        by_token: dict[int, tuple[HeldRun, list[int], list[int]]] = {}
        place = 0
        for number, count in spans:
            runs = [*map(self._held.pop, range(number, number + count), repeat(None))]
            run = runs[0]
            if count > 1 and run is not None and runs.count(run) == count:
                first = number - run.token
                found.append((run, range(first, first + count), range(place, place + count)))
            else:
                _add(by_token, runs, number, place)
            place += count
        found += by_token.values()
        self._ended += found
        self.size -= sum([sum(taken(run.sizes, positions)) for run, positions, _ in found])
        return found

    def end_resource(self, resource_row: int) -> None:
        """End all leases on packets of *resource_row*."""
        self.end([number for number, run in self._held.items() if run.resource_row == resource_row])

    def alone(self, now: float) -> bool:
        """Return whether one is held beside which nothing may be handed out by *now*."""
        return now < self._alone_until and any(run.alone_until > now for run in self._held.values())

    def none_beside(self, now: float) -> bool:
        """Return whether one that is to be alone may be handed out: all that is held has been alone by *now*."""
        return all(0 < run.alone_until <= now for run in self._held.values())

    def begin(self) -> None:
        """As for any table."""
        super().begin()
        self._ended.clear()
        self._size_before = self.size

    def rollback(self) -> None:
        """As for any table."""
        self._dropped += [(run.token + one, run) for run, positions, _ in self._ended for one in positions]
        self._ended.clear()
        super().rollback()
        self.size = self._size_before


def _add(
    ended: dict[int, tuple[HeldRun, list[int], list[int]]], runs: Sequence[HeldRun | None], number: int, place: int
) -> None:
    """Add what held under *number* and those behind it, each named at *place* and those behind it, by run."""
    for run in runs:
        if run is not None:
            _, positions, places = ended.setdefault(run.token, (run, [], []))
            positions.append(number - run.token)
            places.append(place)
        number, place = number + 1, place + 1
