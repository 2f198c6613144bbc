"""The bytes of unrecorded results, and the bound beyond which no call is begun.

Theory. A packet of 50 bytes may give a MiB. What is handed out is bounded by its payloads, so that of quick calls
whose outputs are large a thousand may have ended before the store has taken one. Nobody knows the size of an output
before its call has returned: so calls that are under way are waited for, and their results kept, whatever they have.
"""

from __future__ import annotations

from collections.abc import Callable

MOST_UNRECORDED = 16 * 1024 * 1024
"""Bytes of results beyond which no call is begun."""
PORTION = 1024 * 1024
"""Bytes of results after which whoever makes one call after another lays them down, and looks whether to go on."""

BATCH_OUTPUTS = 4 * 1024 * 1024
"""Bytes of outputs that a call of a batch should give, at most."""


class ResultBytes:
    """Counts them. Whoever adds holds the guard of the result queue; the event loop alone removes."""

    def __init__(self) -> None:
        """Begin with none."""
        self.relieved: Callable[[], None] = lambda: None
        """The pool's: calls may be begun again. Called on the event loop."""
        self.mean = 0.0
        """Bytes that a packet gave of late."""
        self._came = 0
        self._went = 0  # each is changed by one side only, so that none needs the lock of the other

    def __len__(self) -> int:
        """The number of bytes that are not recorded."""
        return self._came - self._went

    def full(self, under_way: int = 0) -> bool:
        """Return whether no call may be begun, if the packets *under_way* give as many bytes as others did of late."""
        return self._came - self._went + under_way * self.mean >= MOST_UNRECORDED

    def batch(self, most: int) -> int:
        """The number of packets for a call, at *most*, so that it will not give much more than `BATCH_OUTPUTS`."""
        return max(1, min(most, int(BATCH_OUTPUTS / max(self.mean, 1.0))))

    def add(self, size: int, number: int) -> None:
        """Results of *number* packets, of *size* bytes, are there."""
        self._came += size
        self.mean += (size / number - self.mean) / 8

    def remove(self, size: int) -> None:
        """The ledger has results of *size* bytes."""
        was_full = self.full()
        self._went += size
        if was_full:
            self.relieved()
