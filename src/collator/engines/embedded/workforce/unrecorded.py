"""How many bytes the results have that the ledger does not have yet, and the bound beyond which no call is begun.

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


class Unrecorded:
    """Counts them. Whoever adds holds the guard of the tray; the event loop alone removes."""

    def __init__(self) -> None:
        """Begin with none."""
        self.relieved: Callable[[], None] = lambda: None
        """The pool's: calls may be begun again. Called on the event loop."""
        self._came = 0
        self._went = 0  # each is changed by one side only, so that none needs the lock of the other

    def __len__(self) -> int:
        """How many bytes there are."""
        return self._came - self._went

    def full(self, expected: int = 0) -> bool:
        """Whether no call may be begun, where *expected* bytes are to come from those under way."""
        return self._came - self._went + expected >= MOST_UNRECORDED

    def add(self, size: int) -> None:
        """Results of *size* bytes are there."""
        self._came += size

    def remove(self, size: int) -> None:
        """The ledger has results of *size* bytes."""
        was_full = self.full()
        self._went += size
        if was_full:
            self.relieved()
