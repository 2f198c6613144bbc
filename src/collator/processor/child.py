"""The process that calls a function of the user: its whole life, from the set-up to the end of its pipe.

Three threads. The main one calls the function, as some libraries want to be called there. One reads jobs from the pipe,
and sees its end, which ends the process whatever the function does. One gives back the jobs behind a call that takes
long, so that other processes take them.

Standard output belongs to the pipe, so what the function prints goes to standard error, and is lost where that cannot
be written. SIGTERM and SIGINT are for the service, which lets calls finish and closes the pipe. A fork made by the
function has no pipe, obeys these signals again, and ends where it would come back to here.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial, wraps
from pathlib import Path
from typing import Any

from collator.errors import ConfigError
from collator.forks import Kept
from collator.processor.function import Function
from collator.processor.generator import without_interim
from collator.processor.job_queue import JobQueue
from collator.processor.loader import UserFunction, find, is_coroutine, is_generator
from collator.processor.outcomes import BatchFailed, OutcomeFactory, reason_of
from collator.processor.print_streams import forgive
from collator.processor.wire import (
    BatchFailedReply,
    ChildReply,
    Frames,
    FunctionReady,
    Job,
    JobDone,
    Setup,
    answer_of,
    frame,
)
from collator.signals import obey
from collator.standard_streams import open_missing

GRACE = 1.0
"""Seconds in which a call may finish when the service has closed the pipe, or is gone."""
CLOSED = 199
"""The exit code where the function has closed one of our ends of the pipes, as daemons close every file."""
EXPENDABLE = "500"
"""Held against this process when memory is short, so that Linux ends it before the service."""
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve the pipe until it ends."""
    source, sink = _take_over()
    with Kept(lambda: (source, sink), first=obey):
        _serve(source, sink)


def _serve(source: int, sink: int) -> None:
    frames = Frames(os.fdopen(source, "rb", closefd=False).read)
    setup = frames.reader(Setup)()
    if setup is None:
        return
    _behave(setup.memory)
    send = partial(_send, sink)
    with ExitStack() as stack, suppress(BrokenPipeError):  # the service has ended
        try:
            function, jobs = _function(setup, stack), JobQueue(send)
            threading.Thread(target=_read_jobs, args=(jobs, frames.reader(Job)), daemon=True).start()
            threading.Thread(target=_give_back, args=(jobs,), daemon=True).start()
        except (ConfigError, MemoryError, RuntimeError) as error:  # the last where there is no memory for a thread
            send(FunctionReady(reason_of(error)))
            return
        send(FunctionReady())
        while (job := jobs.next()) is not None:
            jobs.answer(_reply(function, job))


def _read_jobs(jobs: JobQueue, read: Callable[[], Job | None]) -> None:
    try:
        while (job := read()) is not None:
            jobs.put(job)
        jobs.close()
        threading.Event().wait(GRACE)
    except OSError as error:
        _end_if_closed(error)
    finally:
        os._exit(1)  # a call goes on, or a thread that it left behind; or there is no memory for a job


def _give_back(jobs: JobQueue) -> None:
    with suppress(BrokenPipeError):
        while True:
            jobs.give_back()


def _reply(function: Function, job: Job) -> ChildReply:
    if function.batch == 1:
        return JobDone(job.number, [answer_of(function.attempt(job.tasks[0]))])
    results = function.attempt_all(job.tasks)
    if isinstance(results, BatchFailed):
        return BatchFailedReply(job.number, results)
    return JobDone(job.number, [*map(answer_of, results)])


def _function(setup: Setup, stack: ExitStack) -> Function:
    function = find(setup.spec)
    if is_generator(function):
        function = without_interim(function)
    if is_coroutine(function):
        function = _run(function, stack)
    if setup.memory is not None:
        function = _within(function, setup.memory)
    return Function(
        function,
        OutcomeFactory(retries=setup.retries, max_output=setup.max_output, quote=setup.quote),
        batch=setup.batch,
    )


def _run(function: UserFunction, stack: ExitStack) -> UserFunction:
    """A plain function that runs the coroutine function *function* to its end, always on the same event loop."""
    import asyncio  # takes longer to load than all else here

    runner = stack.enter_context(asyncio.Runner())

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:  # noqa: ANN401 - what the user's function takes and gives
        return runner.run(function(*args, **options))

    return call


def _within(function: UserFunction, memory: int) -> UserFunction:
    """*function*, which says how much *memory* it had when that was too little."""

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:  # noqa: ANN401 - as above
        try:
            return function(*args, **options)
        except MemoryError as error:
            short = MemoryError(f"pool_memory is {memory / 2**20:g} MiB")
            raise short.with_traceback(error.__traceback__) from None

    return call


def _send(sink: int, message: object) -> None:
    data = memoryview(frame(message))
    try:
        while data:
            data = data[os.write(sink, data) :]  # without a buffer, which a fork would have a copy of
    except OSError as error:
        _end_if_closed(error)
        raise


def _end_if_closed(error: OSError) -> None:
    if error.errno == errno.EBADF:
        os._exit(CLOSED)  # by whichever thread finds it first, so that it is told in the same words


def _take_over() -> tuple[int, int]:
    """The two ends of the pipes, out of reach of code that reads standard input, prints or forks."""
    open_missing()
    source, sink = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    forgive()
    return source, sink


def _behave(memory: int | None) -> None:
    """Let signals be for the service, be the first to go when memory is short, and never outlive the service."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # not SIG_IGN, which programs that the function starts would inherit
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        with suppress(OSError):  # where /proc is read-only, the kernel chooses by size alone
            Path("/proc/self/oom_score_adj").write_text(EXPENDABLE, "ascii")
        if memory is not None:
            import resource

            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
