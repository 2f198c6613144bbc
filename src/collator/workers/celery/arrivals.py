"""Replies that are acknowledged once the ledger has all that they brought. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import msgspec

from collator.messages import Lease, Result


class _Arrival(msgspec.Struct):
    left: int
    acknowledge: Callable[[], None]


class Arrivals:
    """What arrived and is not acknowledged."""

    def __init__(self) -> None:
        self._of: dict[Lease, _Arrival] = {}

    def add(self, results: Sequence[Result], acknowledge: Callable[[], None]) -> None:
        """A reply brought *results*; *acknowledge* is called when all are recorded, at once where there are none."""
        if not results:
            acknowledge()
        arrival = _Arrival(len(results), acknowledge)
        for result in results:
            self._of[result.lease] = arrival

    def recorded(self, results: Iterable[Result]) -> None:
        """The ledger has *results*."""
        for result in results:
            arrival = self._of.pop(result.lease, None)
            if arrival is None:
                continue
            arrival.left -= 1
            if arrival.left == 0:
                arrival.acknowledge()
