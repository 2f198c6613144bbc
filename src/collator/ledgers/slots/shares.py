"""What each of several ledgers may hand out of what a caller can take. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from collator.seams.capacity import Capacity


def shares(total: int, order: Sequence[int]) -> dict[int, int]:
    """*total* in equal shares for the ledgers in *order*; the first have what is over."""
    each, over = divmod(max(total, 0), len(order))
    return {slot: each + (turn < over) for turn, slot in enumerate(order)}


def shares_by_size(total: int, sizes: Mapping[int, int]) -> dict[int, int]:
    """*total* for ledgers that can use up to *sizes*: what one leaves, the others have."""
    left, found = max(total, 0), dict[int, int]()
    rising = sorted(sizes, key=sizes.__getitem__)
    for turn, slot in enumerate(rising):
        found[slot] = min(sizes[slot], -(-left // (len(rising) - turn)))
        left -= found[slot]
    return found


def capacities(capacity: Capacity, order: Sequence[int]) -> dict[int, Capacity]:
    """*capacity* for each endpoint in shares for the ledgers in *order*."""
    if len(order) == 1:
        return {order[0]: capacity}
    found: dict[int, dict[str, int]] = {slot: {} for slot in order}
    for endpoint, total in capacity.items():
        for slot, share in shares(total, order).items():
            found[slot][endpoint] = share
    return {**found}
