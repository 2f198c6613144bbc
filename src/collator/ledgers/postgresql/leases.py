"""Leases on packets: a row for each run that is handed out, which any node may report on.

The lease has the key of its resource, so that who reports locks the resource first. An index that was reported, or
given back, leaves its place in the row, which goes with the last of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import count

import asyncpg
import msgspec

from collator.ledgers.postgresql.step import Step
from collator.messages import Lease, Run
from collator.rules.resource import INDEX_BITS, INDEX_MASK

REPORTED = -1
"""Stands in a lease for the index of a packet that it holds no more."""
DELIVERIES = 1 << 62
"""Tokens from here on are those of deliveries."""

_tokens = count((int.from_bytes(os.urandom(5)) << 22) + 1)


def new_token() -> int:
    """Return a token that no other lease on packets has: of 62 bits, those of this process begin at random."""
    return next(_tokens)


class Held(msgspec.Struct, gc=False):
    """A packet that is leased."""

    key: int
    size: int
    """Bytes of its payload."""
    attempt: int = 1
    tried: bool = False
    """Whether the store has a row on earlier attempts of it."""

    def run(self) -> HeldPacket:
        """The same as the rules of results take it."""
        used = self.attempt - 1 if self.tried else None
        return HeldPacket(self.key >> INDEX_BITS, [self.key & INDEX_MASK], [self.size], [used])


class HeldPacket(msgspec.Struct, gc=False):
    """A run of one packet: `collator.rules.outcomes.LeasedRun`."""

    resource_row: int
    indexes: Sequence[int]
    sizes: Sequence[int]
    used: Sequence[int | None]


class NewLease:
    """A lease that is handed out in this step."""

    __slots__ = (
        "_payloads",
        "alone_until",
        "attempts",
        "indexes",
        "resource_row",
        "run",
        "sizes",
        "suspect",
        "token",
        "tried",
    )

    def __init__(
        self, step: Step, resource_row: int, resource_id: str, generation: bytes, metadata: bytes | None
    ) -> None:
        """Begin a run of the resource, with no packet yet."""
        self.resource_row, self.token = resource_row, new_token()
        self.suspect, self.alone_until = False, 0.0
        self.indexes: list[int] = []
        self.sizes: list[int] = []
        self.attempts: list[int] = []
        self.tried: list[bool] = []
        handed = metadata if step.ledger_limits.hand_out_metadata else None
        self._payloads: list[bytes] = []
        lease = Lease(resource_row, self.token)
        self.run = Run(resource_id, generation, lease, self.indexes, self._payloads, self.attempts, handed)

    def add(self, step: Step, held: Held, payload: bytes) -> None:
        """Lease one more packet."""
        self.indexes.append(held.key & INDEX_MASK)
        self.sizes.append(held.size)
        self.attempts.append(held.attempt)
        self.tried.append(held.tried)
        self._payloads.append(payload)
        step.count_leased(held.size)


async def grant(step: Step, leases: Sequence[NewLease]) -> None:
    """Store *leases*, which hold from now on."""
    if not leases:
        return
    until = step.running + step.ledger_limits.task_lease
    rows = []
    start = 1
    for lease in leases:
        end = start + len(lease.indexes)
        rows.append((lease.token, lease.resource_row, start, end - 1, lease.suspect, lease.alone_until))
        start = end
    await step.run_rows(
        "grant_leases",
        rows,
        [index for lease in leases for index in lease.indexes],
        [size for lease in leases for size in lease.sizes],
        [attempt for lease in leases for attempt in lease.attempts],
        [tried for lease in leases for tried in lease.tried],
        step.node,
        until,
    )


async def store_waiting(step: Step, places: Iterable[tuple[int, int]]) -> None:
    """Let the packets *places*, (resource, index), wait for a worker."""
    by_resource: dict[int, list[int]] = {}
    for resource_row, index in places:
        by_resource.setdefault(resource_row, []).append(index)
    rows = []
    flat: list[int] = []
    for resource_row, indexes in sorted(by_resource.items()):
        indexes.sort()
        rows.append((resource_row, len(flat) + 1, len(flat) + len(indexes)))
        flat += indexes
    await step.run_rows("store_waiting", rows, flat)


async def hand_out_allowed(step: Step) -> bool:
    """Return whether new packets may be handed out: none wait for a worker, and none is to be alone."""
    return bool(await step.value("hand_out_allowed", step.running, step.now))


class StoredLease(msgspec.Struct):
    """A lease as it is stored: a working copy."""

    token: int
    resource_row: int
    indexes: list[int]
    sizes: list[int]
    attempts: list[int]
    tried: list[bool]
    suspect: bool

    def held(self, position: int) -> Held | None:
        """The lease at *position*."""
        if not 0 <= position < len(self.indexes) or self.indexes[position] == REPORTED:
            return None
        key = self.resource_row << INDEX_BITS | self.indexes[position]
        return Held(key, self.sizes[position], self.attempts[position], self.tried[position])

    def drop(self, position: int) -> Held | None:
        """End the lease of the packet at *position*; what it held, if it still did."""
        held = self.held(position)
        if held is not None:
            self.indexes[position] = REPORTED
        return held

    def drop_all(self) -> list[Held]:
        """End the lease of all packets that it still holds."""
        return [held for position in range(len(self.indexes)) if (held := self.drop(position)) is not None]

    @property
    def over(self) -> bool:
        """Whether nothing is held any more."""
        return all(index == REPORTED for index in self.indexes)


def as_lease(row: asyncpg.Record) -> StoredLease:
    """A lease row."""
    return StoredLease(*row)


async def lock_leases(step: Step, leases: Iterable[Lease]) -> dict[int, StoredLease]:
    """The leases on packets among *leases* that hold, locked in order; by token."""
    tokens = sorted({lease.token for lease in leases if 0 <= lease.token < DELIVERIES})
    rows = await step.rows("lock_leases", tokens) if tokens else []
    return {row["token"]: as_lease(row) for row in rows}


async def store_dropped(step: Step, leases: Iterable[StoredLease]) -> None:
    """Store *leases*, of which some were dropped."""
    over = [lease.token for lease in leases if lease.over]
    if over:
        await step.run("drop_leases", over)
    left = [(lease.indexes, lease.token) for lease in leases if not lease.over]
    if left:
        await step.run_each("shrink_lease", left)


def count_returned(step: Step, held: Iterable[Held]) -> None:
    """Count the bytes of *held*, which are handed out no more."""
    step.count_leased(-sum([one.size for one in held]))
