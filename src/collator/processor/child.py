"""The process that calls a function of the user: its whole life, from the set-up to the end of its pipe.

Three threads. The main one calls the function, as some libraries want to be called there. One reads jobs from the pipe,
and sees its end, which ends the process whatever the function does. One gives back the jobs behind a call that takes
long, so that it holds up nobody.

Standard output belongs to the pipe, so what the function prints goes to standard error. SIGTERM and SIGINT are for the
service, which lets calls finish and closes the pipe.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from functools import wraps
from pathlib import Path
from typing import Any, BinaryIO

from collator.errors import ConfigError
from collator.processor.desk import Desk
from collator.processor.endings import Apart, Endings, reason_of
from collator.processor.finding import UserFunction, find, is_coroutine
from collator.processor.function import Function
from collator.processor.wire import Job, Ready, Reply, Returned, Setup, frame, reader, reply_of

GRACE = 1.0
"""Seconds in which a call may finish when the service has closed the pipe, or is gone."""
EXPENDABLE = "500"
"""Held against this process when memory is short, so that Linux ends it before the service."""
_PR_SET_PDEATHSIG = 1

Send = Callable[[Reply | Ready], None]


def main() -> None:
    """Serve the pipe until it ends."""
    source, sink = _take_over()
    setup = reader(source, Setup)()
    if setup is None:
        return
    _behave(setup.memory)
    send = _sender(sink)
    with ExitStack() as stack, suppress(BrokenPipeError):  # the service is gone, and nobody waits
        try:
            function, desk = _function(setup, stack), Desk()
            threading.Thread(target=_read_jobs, args=(desk, source), daemon=True).start()
            threading.Thread(target=_give_back, args=(desk, send), daemon=True).start()
        except (ConfigError, MemoryError, RuntimeError) as error:  # the last where there is no memory for a thread
            send(Ready(reason_of(error)))
            return
        send(Ready())
        while (job := desk.next()) is not None:
            for reply in _replies(function, job):
                send(reply)


def _read_jobs(desk: Desk, source: BinaryIO) -> None:
    read: Callable[[], Job | None] = reader(source, Job)
    while (job := read()) is not None:
        desk.put(job)
    desk.close()
    threading.Event().wait(GRACE)
    os._exit(1)  # a call goes on, or a thread that it left behind


def _give_back(desk: Desk, send: Send) -> None:
    with suppress(BrokenPipeError):
        while True:
            send(Returned(desk.left_behind()))


def _replies(function: Function, job: Job) -> Iterable[Reply]:
    if function.batch == 1:
        return [reply_of(function.attempt(job[0]))]
    results = function.attempt_all(job)
    return [results] if isinstance(results, Apart) else map(reply_of, results)


def _function(setup: Setup, stack: ExitStack) -> Function:
    function = find(setup.spec)
    if is_coroutine(function):
        function = _run(function, stack)
    if setup.memory is not None:
        function = _within(function, setup.memory)
    return Function(function, Endings(retries=setup.retries, max_output=setup.max_output), batch=setup.batch)


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
        except MemoryError:
            raise MemoryError(f"pool_memory is {memory / 2**20:g} MiB") from None

    return call


def _sender(sink: BinaryIO) -> Send:
    turn = threading.Lock()

    def send(message: Reply | Ready) -> None:
        data = frame(message)
        with turn:
            sink.write(data)
            sink.flush()

    return send


def _take_over() -> tuple[BinaryIO, BinaryIO]:
    """The two ends of the pipes, out of reach of whoever reads standard input or prints."""
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
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
