"""Who gets what of the deliveries, within the capacity that a caller said it has. Pure; rules R23 and P5."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from collator.rules.body import is_large

INLINE_BODY = 256 * 1024
INLINE_SUM = 4 * 1024 * 1024
"""A body up to `INLINE_BODY` is joined in the step that hands its delivery out, up to so many bytes in one step, and is
in memory while it is sent. Others are read piece by piece: neither a commit nor memory grows with them."""


def merge_capacities(capacities: Sequence[Mapping[str, int]]) -> Mapping[str, int]:
    """Return the capacity of callers who look at the same window: the least that any of them saw."""
    merged = dict(capacities[0])
    for capacity in capacities[1:]:
        for name, count in capacity.items():
            merged[name] = min(merged.get(name, count), count)
    return merged


def leased_at_once(new: Iterable[tuple[str, int]], capacity: Mapping[str, int], paused: Collection[str]) -> list[bool]:
    """Mark those of *new* deliveries, (endpoint, bytes of the body), that go to the caller that brought them about.

    None to an endpoint that is *paused*, and none that is large: those are claimed apart.
    """
    free = {endpoint: count for endpoint, count in capacity.items() if endpoint not in paused}
    taken = []
    for endpoint, size in new:
        takes = not is_large(size) and free.get(endpoint, 0) > 0
        taken.append(takes)
        if takes:
            free[endpoint] -= 1
    return taken


def mixed(longest: Sequence[int], latest: Sequence[int], capacity: int, share: int) -> list[int]:
    """Return *capacity* deliveries, *share* of them of the *latest* to fall due, the others of those *longest* due.

    So a backlog does not keep from a receiver what has just ended. What there is twice leaves its place to the next.
    """
    return [*dict.fromkeys([*longest[: capacity - share], *latest[:share], *longest])][:capacity]


def joined_at_once(extents: Iterable[tuple[int, int]]) -> list[int]:
    """Choose the resources in *extents*, (handle, bytes of the body), whose bodies are joined in one step."""
    chosen: dict[int, None] = {}
    total = 0
    for key, whole in extents:
        if key not in chosen and whole <= INLINE_BODY and total + whole <= INLINE_SUM:
            total += whole
            chosen[key] = None
    return [*chosen]
