"""THE SEAM inside the workers: those who call the processor.

| file | calls are made | for |
|---|---|---|
| `threads`, with `executor` | in threads of this process | plain functions |
| `threads`, with `processes` | in processes, each spoken to by a thread | functions that crash, hang or devour memory |
| `loops`, with `runner` | on an event loop in a thread of its own | coroutine functions and HTTP services |

All are the same to the workers: runs are put in `buffer`, results are collected from `result_queue`, and neither side
waits for the other. A pool knows nothing of the ledger. Its methods are for the event loop, and take a few steps at
most.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import structlog

from collator.messages import AnyResult, Run, Task, WorkerReport
from collator.throttle import Throttle
from collator.workers.result_queue import ResultQueue
from collator.workers.task_buffer import TaskBuffer

log = structlog.get_logger("collator.workers")


class WorkerPool(Protocol):
    """The interface of what calls the processor: threads, processes or event loops."""

    buffer: TaskBuffer
    result_queue: ResultQueue
    chunk_size: int
    """How many tasks make a few milliseconds of work, at the speed of late."""

    @property
    def abandoned(self) -> int:
        """The number of calls that were given up and have not returned."""
        ...

    def start(self) -> None:
        """Begin to take what is in line."""
        ...

    def watch(self) -> Sequence[AnyResult]:
        """Look after calls that take long, and give up those whose time is up: results that come of it.

        To be called every few hundredths of a second while tasks are in hand.
        """
        ...

    def width(self) -> int:
        """The number of tasks that it has a use for, waiting and in hand, at its recent speed; 0 while blocked.

        It is blocked while too many calls were given up and have not returned: no call is begun then.
        """
        ...

    def in_hand(self) -> int:
        """The number of packets that were taken and not collected; 0 only once every result is."""
        ...

    def unfinished(self) -> list[Run]:
        """The packets that were taken and have no result."""
        ...

    def recorded(self, reports: Sequence[AnyResult]) -> None:
        """The ledger has *reports*."""
        ...

    def reports(self) -> Sequence[WorkerReport]:
        """The workers elsewhere that are known."""
        ...

    def health(self) -> str | None:
        """The reason why no call is begun, in words; `None` while all is well."""
        ...

    def give_up(self) -> list[Run]:
        """Wait for nobody any more: the packets that now have no result. What there is lies in the result queue."""
        ...

    def stop(self) -> None:
        """End as soon as can be."""
        ...

    def ended(self) -> bool:
        """Return whether everything has ended that can be ended."""
        ...


def note_late(tasks: Sequence[Task], abandoned: int, throttle: Throttle) -> None:
    """Log, as *throttle* allows, that the time of the calls for *tasks* is up; *abandoned* have not returned now."""
    if tasks and (times := throttle.times(number=len(tasks))):
        key = tasks[0].key
        words = "processor call timed out and still runs"
        log.warning(words, resource_id=key.resource_id, index=key.index, abandoned=abandoned, times=times)


def blocked_words(abandoned: int, timeout: float) -> str:
    """The reason why no call is begun: *abandoned* calls have outlasted *timeout* seconds."""
    return (
        f"{abandoned} processor calls have not returned after {timeout:g} s; "
        "no packet is processed until one of them returns"
    )
