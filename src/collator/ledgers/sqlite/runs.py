"""Runs: packets of one resource that are leased together, within the bytes that may be handed out."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from collator.ledgers.sqlite.leases import HeldRun
from collator.ledgers.sqlite.store import Store
from collator.messages import Lease, Run


def fitting(store: Store, sizes: Sequence[int]) -> int:
    """The number of packets, the first of those of *sizes* bytes, that may be out too; at least one where none is."""
    free = store.ledger_limits.max_leased - store.packets.size
    if sum(sizes) <= free:
        return len(sizes)
    return bisect_right([*accumulate(sizes)], free) or int(bool(sizes) and not len(store.packets))


def hand_out(store: Store, held: HeldRun, payloads: Sequence[bytes], resource: tuple[str, bytes, bytes | None]) -> Run:
    """Lease *held*, with its *payloads*; *resource*: the id, the generation and the metadata of its resource."""
    resource_id, generation, metadata = resource
    lease = Lease(held.resource_row, store.packets.grant(held))
    attempts = [(used or 0) + 1 for used in held.used] if held.used else (1,) * len(payloads)
    handed = metadata if store.ledger_limits.hand_out_metadata else None
    return Run(resource_id, generation, lease, held.indexes, payloads, attempts, handed)
