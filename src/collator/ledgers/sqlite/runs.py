"""Runs: packets that were leased one behind the other, those of one resource together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from collator.messages import Lease, Run, RunPacket
from collator.rules.resource import INDEX_BITS, INDEX_MASK

Leased = tuple[int, int, str, bytes, bytes, int]
"""A packet that was leased: number in the table of leases, where the next packet has the next one, key, resource id,
generation, payload, attempt; a tuple, since this is made for every packet."""


def runs_of(packets: Iterable[Leased], metadata: Mapping[int, bytes]) -> list[Run]:
    """Return *packets* as runs, in their order, with the *metadata* of their resources, by row."""
    runs: list[Run] = []
    resource_row, run = -1, list[RunPacket]()
    for number, key, resource_id, generation, payload, attempt in packets:
        if key >> INDEX_BITS != resource_row:
            resource_row, run = key >> INDEX_BITS, []
            lease = Lease(resource_row, number)
            runs.append(Run(resource_id, generation, lease, run, metadata.get(resource_row)))
        run.append(RunPacket(key & INDEX_MASK, payload, attempt))
    return runs
