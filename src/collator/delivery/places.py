"""Places that the lanes of all endpoints share: for bodies that are large, so that memory stays bounded (P5)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable


class Places:
    """A number of places. Who finds none free is told when one is, in the order of asking."""

    def __init__(self, number: int) -> None:
        """Have *number* places."""
        self.free = number
        self._asking: deque[Callable[[], None]] = deque()

    def take(self) -> None:
        """Take one, which is `free`."""
        self.free -= 1

    def give(self) -> None:
        """Give one back."""
        self.free += 1
        if self._asking:
            self._asking.popleft()()

    def ask(self, told: Callable[[], None]) -> None:
        """Have *told* called once when a place is free, after those who asked before."""
        if told not in self._asking:
            self._asking.append(told)
