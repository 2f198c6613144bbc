"""What a thread of the pool works with: its hands. Those here call a function in the thread itself."""

from __future__ import annotations

from typing import Final, Protocol

from collator.engines.embedded.workforce.chunks import Chunk
from collator.engines.embedded.workforce.line import Line
from collator.processor import Apart, Function


class Hands(Protocol):
    """The hands of one thread. All but `kill` is called by it."""

    @property
    def deadly(self) -> bool:
        """Whether `kill` can end a call."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why they cannot be made ready, in words."""
        ...

    def ready(self) -> bool:
        """Whether a chunk can be worked on; may take as long as it takes to see to that."""
        ...

    def work(self, chunk: Chunk) -> tuple[int, float]:
        """Go through *chunk*; the number of calls, and the seconds that they took."""
        ...

    def kill(self) -> None:
        """End what they do, if that can be done. From any thread."""
        ...

    def close(self) -> None:
        """They are not needed any more."""
        ...


class Worker:
    """A thread: its hands, and what is in them."""

    __slots__ = ("chunk", "hands")

    def __init__(self, hands: Hands) -> None:
        self.hands = hands
        self.chunk: Chunk | None = None

    @property
    def abandoned(self) -> bool:
        """Whether its call was given up and has not returned."""
        chunk = self.chunk
        return chunk is not None and chunk.abandoned


class BareHands:
    """Call a function in the thread itself. A call cannot be ended from outside."""

    deadly: Final = False
    trouble: Final = None

    def __init__(self, function: Function, line: Line) -> None:
        """Tasks of a batch that failed go back into *line*."""
        self._function = function
        self._line = line
        self._now = function.endings.running

    def ready(self) -> bool:
        """Always."""
        return True

    def work(self, chunk: Chunk) -> tuple[int, float]:
        """Call one by one, or all at once where the function takes a batch."""
        if self._function.batch == 1:
            return chunk.work(self._function.attempt, self._now)
        tasks, begun = chunk.rest(), self._now()
        with self._line.change:
            chunk.begin(tasks, begun)
        results = self._function.attempt_all(tasks)
        now = self._now()
        with self._line.change:
            batch = chunk.recall()
            if isinstance(results, Apart) and not chunk.abandoned:
                self._line.put_apart(batch, results.reason)
            elif not isinstance(results, Apart) and not chunk.abandoned:
                chunk.done.extend(results)
        return 1, now - begun

    def kill(self) -> None:
        """Nothing can be done."""

    def close(self) -> None:
        """Nothing is to be done."""
