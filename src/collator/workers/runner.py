"""One event loop in a thread of its own, on which calls of the processor are under way.

A coroutine that blocks stops every other on its loop. So a loop is asked now and then whether it still turns; where it
does not answer, its thread is looked at from outside: which call it is in, and where in the user's code.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from collator.messages import Task
from collator.processor import Calls, Coroutine, HttpService, Requests

log = structlog.get_logger("collator.workers")

_NOT_THEIRS = (str(Path(asyncio.__file__).parent), str(Path(__file__).parents[1]))


class ProcessorCall:
    """A call under way."""

    __slots__ = (
        *("abandoned", "hedged", "late", "other", "runner", "running", "second", "since", "tasks", "ticket", "won"),
    )

    def __init__(self, tasks: Sequence[Task], since: float, runner: Runner) -> None:
        self.tasks = tasks
        """What it is for: several where the function takes a batch."""
        self.since = since
        """Monotonic seconds."""
        self.runner = runner
        """The loop that it is on."""
        self.other: ProcessorCall | None = None
        """The other call for the same task, while both are under way."""
        self.second = False
        """It was begun because another one takes long."""
        self.won = False
        """It was a second one, and its output counts."""
        self.hedged = False
        """There was a second one for it."""
        self.ticket: int | None = None
        """That of a call to a service, while it is not known how it ends."""
        self.running: asyncio.Task[None] | None = None
        self.abandoned = False
        """Nobody waits for it any more."""
        self.late = False
        """It was given up by itself, not with its loop, and is counted until it has ended."""

    def hedge(self, first: ProcessorCall) -> None:
        """Be the second call for the task of *first*."""
        self.second = first.hedged = True
        self.other, first.other = first, self

    def counts(self) -> bool:
        """Return whether its tasks are counted by it, and not by a first call."""
        return not (self.second and self.other is not None)


class Runner:
    """A loop, its thread and its calls. The fields are guarded by the pool."""

    def __init__(self, processor: Coroutine | HttpService, *, turning: Callable[[Runner], None]) -> None:
        """*turning* is called on the loop as soon as it turns."""
        self.calls: dict[ProcessorCall, None] = {}
        """The longest under way first."""
        self.make_call: Calls | Requests
        self.loop: asyncio.AbstractEventLoop | None = None
        """While it turns."""
        self.asked_at: float | None = None
        """When it was asked whether it turns, while it has not answered (monotonic seconds)."""
        self.roused = False
        """It was told to look for tasks, and has not looked yet."""
        self.frozen = False
        """It has not answered for long."""
        self.left_behind = False
        """Another takes its place: it gets no more calls."""
        self.given_up = False
        """Nobody waits for it any more."""
        self._processor = processor
        self._turning = turning
        self._end: asyncio.Event
        self._ends = False  # it was told to, maybe before it turned
        self._serving: asyncio.Task[None] | None = None
        self._thread: threading.Thread

    def start(self, guard: threading.Condition, gone: Callable[[Runner], None]) -> None:
        """Have the loop turn in a thread; *gone* is called there when it has come to its end."""

        def run() -> None:
            try:
                asyncio.run(self._serve(guard))
            except Exception:  # the user's code has stopped the loop, or a defect of ours
                log.exception("the event loop of the processor failed")
            finally:
                gone(self)

        self._thread = threading.Thread(target=run, name="collator-processor-loop", daemon=True)
        self._thread.start()

    def takes_calls(self) -> bool:
        """Return whether calls may be begun on it: its loop runs, and not even the user's code has stopped it."""
        stopped = self._serving is None or self._serving.cancelling()
        return not (self.left_behind or self.loop is None or stopped)

    def end(self) -> None:
        """Let the loop come to its end, at once where it does not turn yet; what is under way on it is cancelled."""
        self._ends = True
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self._end.set)

    def end_if_idle(self) -> None:
        """Let it come to its end, if it is not needed any more."""
        if self.left_behind and not self.calls:
            self.end()

    def ask(self, now: float, answer: Callable[[Runner], None]) -> float:
        """Ask it whether it turns; the seconds for which it has not answered. *answer* is called on the loop."""
        if self.asked_at is None and self.loop is not None:
            self.asked_at = now
            self.loop.call_soon_threadsafe(answer, self)
        return 0.0 if self.asked_at is None else now - self.asked_at

    def cancel(self, call: ProcessorCall) -> None:
        """Have *call* end, if its coroutine lets itself be ended."""
        if self.loop is not None and call.running is not None:
            self.loop.call_soon_threadsafe(call.running.cancel)

    def culprit(self) -> ProcessorCall | None:
        """The call in which the loop is at this moment."""
        running = None if self.loop is None else asyncio.current_task(self.loop)
        return next((call for call in self.calls if call.running is running is not None), None)

    def note_frozen(self, silent: float) -> None:
        """Log that the loop has not answered for *silent* seconds, and what it does instead."""
        call = self.culprit()
        key = call.tasks[0].key if call else None
        log.warning(
            "a coroutine of the processor blocks the event loop",
            seconds=round(silent, 1),
            where=self._where(),
            resource_id=key and key.resource_id,
            index=key and key.index,
        )

    def _where(self) -> str:
        """The line in which the loop's thread is in the user's code: the outermost one."""
        frame, found = sys._current_frames().get(self._thread.ident or 0), ""  # noqa: SLF001 - public in all but name
        while frame is not None and not frame.f_code.co_filename.startswith(_NOT_THEIRS):
            found = f"{Path(frame.f_code.co_filename).name}, line {frame.f_lineno}, in {frame.f_code.co_name}"
            frame = frame.f_back
        return found

    async def _serve(self, guard: threading.Condition) -> None:
        async with self._processor.calls() as make_call:
            self._end, self._serving = asyncio.Event(), asyncio.current_task()
            with guard:
                self.make_call, self.loop = make_call, asyncio.get_running_loop()
                if self._ends or self.left_behind:  # it was not needed any more before it turned
                    self._end.set()
            self._turning(self)
            try:
                await self._end.wait()
            finally:
                with guard:
                    self.loop = None
