"""Which pool for which processor."""

from __future__ import annotations

from collections.abc import Callable

from collator.engines.embedded.workforce.hands import BareHands, Hands
from collator.engines.embedded.workforce.line import Line
from collator.engines.embedded.workforce.loops import Loops
from collator.engines.embedded.workforce.pool import Pool
from collator.engines.embedded.workforce.processes import Process
from collator.engines.embedded.workforce.threads import Threads
from collator.processor import Function, Isolated, Processor


def open_pool(
    processor: Processor, *, tell: Callable[[], None], concurrency: int, max_abandoned: int, window: int
) -> Pool:
    """A pool for *processor*, which takes no more than *window* tasks in one go; nothing is started yet.

    *tell* is called, in any thread, when there are results to collect.
    """
    if not isinstance(processor, Function | Isolated):
        return Loops(processor, tell=tell, concurrency=concurrency, max_abandoned=max_abandoned, max_chunk=window)

    def hands(line: Line) -> Hands:
        return BareHands(processor, line) if isinstance(processor, Function) else Process(processor, line)

    return Threads(
        hands,
        processor.endings,
        tell=tell,
        concurrency=concurrency,
        max_abandoned=max_abandoned,
        max_chunk=window,
        batch=processor.batch,
    )
