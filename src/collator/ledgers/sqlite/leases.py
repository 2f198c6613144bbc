"""Leases, in memory. One process owns the data directory: it is the one holder, and its leases end with it.

Each packet of a run has a number of its own, one higher than the one before: so the lease of a packet is the token of
its run, and its place.

Changes are made inside a transaction of the store and undone with it: `rollback` restores what `begin` found.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import msgspec

from collator.messages import Lease


class Held(msgspec.Struct, gc=False):
    """A packet or a delivery that is leased."""

    key: int
    """The packet's key, or the delivery's row."""
    until: float
    """When the lease ends, by `Store.running`."""
    size: int = 0
    """Payload bytes of a packet."""
    attempt: int = 1
    tried: bool = False
    """Whether the store has a row on earlier attempts of this packet."""
    suspect: bool = False
    """Whether it was in work when the process died."""
    alone_until: float = 0.0
    """Until when, by `Store.running`, no packet is handed out beside it."""
    endpoint: str = ""
    """Whom a delivery is for."""
    resource_row: int | None = None
    """The resource of a delivery that was leased as it was created: its row is as it was created while this holds."""


def number_of(lease: Lease) -> int:
    """Return the number under which a packet or a delivery is held."""
    return lease.token + lease.position


class LeaseTable:
    """Leases of one kind, by number; a key has at most one."""

    def __init__(self, kind: int) -> None:
        """Start empty, with numbers that no earlier process gave, and no other *kind* (0 or 1) in this one."""
        self._held: dict[int, Held] = {}
        self._next = (int.from_bytes(os.urandom(5)) << 22) + (kind << 62)
        self._dropped: list[tuple[int, Held]] = []
        self._earliest = float("inf")
        self._before = (self._next, self._earliest)
        self._alone_until = 0.0  # no lease is alone for longer
        self.size = 0
        """Payload bytes of all that is held."""

    def __len__(self) -> int:
        """The number of leases."""
        return len(self._held)

    def grant(self, held: Held) -> int:
        """Lease *held*; its number, one higher than the last."""
        return self.grant_all([held])[0]

    def grant_all(self, held: Sequence[Held]) -> range:
        """Lease *held*, which are some; their numbers, each one higher than the last."""
        numbers = range(self._next + 1, self._next + 1 + len(held))
        self._next = numbers[-1]
        self._held.update(zip(numbers, held, strict=True))
        self.size += sum([one.size for one in held])
        self._earliest = min(self._earliest, *[one.until for one in held])
        self._alone_until = max(self._alone_until, *[one.alone_until for one in held])
        return numbers

    def get(self, number: int) -> Held | None:
        """The packets or deliveries under the lease *number*, if it has not ended."""
        return self._held.get(number)

    def drop(self, number: int) -> Held | None:
        """End the lease *number*; what it held, if it still did."""
        held = self._held.pop(number, None)
        if held is not None:
            self.size -= held.size
            self._dropped.append((number, held))
        return held

    def drop_all(self, numbers: Iterable[int]) -> list[Held | None]:
        """End the leases *numbers*; what each held, if it still did."""
        ended = [(number, self._held.pop(number, None)) for number in numbers]
        dropped = [(number, held) for number, held in ended if held is not None]
        self.size -= sum([held.size for _, held in dropped])
        self._dropped += dropped
        return [held for _, held in ended]

    def drop_key(self, key: int) -> Held | None:
        """End the lease on *key*; what it held, if somebody had one."""
        number = next((number for number, held in self._held.items() if held.key == key), None)
        return None if number is None else self.drop(number)

    def drop_between(self, first: int, last: int) -> None:
        """End all leases on the keys *first* to *last*."""
        for number in [number for number, held in self._held.items() if first <= held.key <= last]:
            self.drop(number)

    def prolong(self, number: int, until: float) -> bool:
        """Let *number* hold until *until*; whether it still held."""
        held = self._held.get(number)
        if held is not None:
            held.until = until
        return held is not None

    def keys(self, endpoint: str) -> set[int]:
        """All deliveries to *endpoint* that somebody holds."""
        return {held.key for held in self._held.values() if held.endpoint == endpoint}

    def alone(self, now: float) -> bool:
        """Return whether one is held beside which nothing may be handed out by *now*."""
        return now < self._alone_until and any(held.alone_until > now for held in self._held.values())

    def none_beside(self, now: float) -> bool:
        """Return whether one that is to be alone may be handed out: all that is held has been alone by *now*."""
        return all(0 < held.alone_until <= now for held in self._held.values())

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
        for number, held in self._dropped:
            self._held[number] = held
            self.size += held.size
        self._dropped.clear()
        last, self._earliest = self._before
        while self._next > last:
            granted = self._held.pop(self._next, None)
            self.size -= granted.size if granted is not None else 0
            self._next -= 1
