"""A function of the user that is called in processes of its own, seen from the service: how it starts and ends them.

Theory. A process can be killed, and can die, without harm to anyone else. So each is a program of its own, not a fork
of the service with its threads, locks and memory; it finds the function by name. It is the head of a session, which is
killed as a whole: what the function has started ends with it, and Ctrl-C at the terminal of the service does not reach
it. A guardian sees to the sessions that are left when the service is killed.

What the process was told and has not answered is kept here, by the numbers of the jobs, so that an answer cannot be
taken for that to anything else.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress

from collator.errors import ConfigError, ProcessorFailed
from collator.messages import Task
from collator.processor.blame import MOST_TRACE
from collator.processor.child import CLOSED
from collator.processor.guardian import end_session
from collator.processor.guardian_client import Guardian
from collator.processor.outcomes import MAX_REASON, OutcomeFactory
from collator.processor.pipes import Pipes
from collator.processor.wire import ChildReply, Frames, FunctionReady, Garbled, Job, JobDone, JobsReturned, Setup, frame

PATIENCE = 1.0
"""Seconds from the end of a pipe to the end of its process."""

_MOST_TRACES = 10 * 4 * MOST_TRACE
"""Bytes of tracebacks in one message, of which each kind of error has one."""
_REST = 100
"""Bytes of a task beside its payload, more or less."""
_KILL = 9  # SIGKILL, which Windows does not have
_PROGRAM = "import sys; sys.path[:] = {path!r}; from collator.processor.child import main; main()"


class SubprocessFunction:
    """The function that *spec* names, for as many processes as are started."""

    def __init__(
        self, spec: str, outcomes: OutcomeFactory | None = None, *, batch: int = 1, memory: int | None = None
    ) -> None:
        """*memory*: bytes of address space that a process may have."""
        self.outcomes = outcomes or OutcomeFactory()
        self.batch = batch
        self._memory = memory
        # As it is now: a process that replaces another finds what the first one found, wherever the program has gone.
        self._path = [os.path.abspath(one) for one in sys.path if isinstance(one, str)]  # noqa: PTH100 - "" is the directory
        self._setup = frame(
            Setup(spec, batch, self.outcomes.retries, self.outcomes.max_output, self.outcomes.quote, memory)
        )
        self._limit = 1024 + batch * (self.outcomes.max_output + 8 * MAX_REASON) + _MOST_TRACES
        self._guarding = threading.Lock()
        self._guardian: Guardian | None = None

    def start(self) -> ChildProcess:
        """A new process, which is not `ChildProcess.ready` yet. Raises `OSError` where the system has none to give."""
        with self._guarding:
            self._guardian = self._guardian or Guardian()
        return ChildProcess(self._setup, self._guardian, path=self._path, limit=self._limit)

    def try_out(self) -> None:
        """Start a process, and let it end again. Raises `ConfigError` where the function cannot be called there."""
        try:
            child = self.start()
        except OSError as error:
            raise ConfigError(f"processor: cannot start a process: {error.strerror}") from None
        try:
            child.ready()
        except ProcessorFailed as error:
            hint = "" if self._memory is None else f" (pool_memory is {self._memory / 2**20:g} MiB)"
            raise ConfigError(error.detail + hint) from None
        finally:
            child.close()


class ChildProcess:
    """One process. All but `alive` and `kill` belongs to one thread."""

    def __init__(self, setup: bytes, guardian: Guardian, *, path: Sequence[str], limit: int) -> None:
        """*path* is where it finds modules; what it says at a time has *limit* bytes at most."""
        jobs, sink = os.pipe()
        source, replies = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - this very program, and a path of ours
                [sys.executable, "-c", _PROGRAM.format(path=path)], stdin=jobs, stdout=replies, start_new_session=True
            )
        except BaseException:
            os.close(sink)
            os.close(source)
            raise
        finally:
            os.close(jobs)
            os.close(replies)
        self._guardian = guardian
        guardian.begun(self.pid)
        self._gone = False
        self._reaping = threading.Lock()
        self._pipes = Pipes(source, sink, ended=lambda: not self.alive())
        self._frames = Frames(self._pipes.read, limit=limit)
        self._receive = self._frames.reader(ChildReply)
        self._number = 0
        self._sent: dict[int, Sequence[Task]] = {}
        self.ahead = 0
        """Bytes of the jobs that were sent and have not come back."""
        self._pipes.write(setup)

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def under_way(self) -> Sequence[Task]:
        """The tasks of the call that it makes now; none where it makes none."""
        return next(iter(self._sent.values()), ())

    def ready(self) -> None:
        """Wait until the function is imported. Raises `ProcessorFailed` with the reason where it cannot be."""
        ready = self._frames.reader(FunctionReady)()
        if ready is None:
            raise ProcessorFailed(f"{self.end()} before it was ready")
        if ready.problem:
            raise ProcessorFailed(ready.problem)

    def alive(self) -> bool:
        """Return whether the process runs. From any thread."""
        with self._reaping:
            return self._process.poll() is None

    def send(self, jobs: Sequence[Sequence[Task]]) -> None:
        """Have it make a call for each of *jobs*, one after the other. Where it has ended, that shows at `receive`."""
        frames = []
        for tasks in jobs:
            self._number += 1
            self._sent[self._number] = tasks
            self.ahead += weight(tasks)
            frames.append(frame(Job(self._number, [*tasks])))
        self._pipes.write(b"".join(frames))

    def receive(self) -> tuple[Sequence[Task], ChildReply] | None:
        """The next thing that it says, and of which tasks; `None` where it has ended.

        Raises `Garbled` for what it cannot have said, and has to be killed for.
        """
        reply = self._receive()
        if reply is None:
            return None
        tasks = self._take(reply)
        if isinstance(reply, JobDone) and len(reply.answers) != len(tasks):
            raise Garbled
        return tasks, reply

    def kill(self) -> None:
        """End it, whatever it does, and most of what it has started; `end` sees to the rest. From any thread."""
        with self._reaping:
            if not self._gone:
                _kill(self._process)

    def end(self) -> str:
        """Wait for the end of a process that says nothing any more; how it ended, in words."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE)
        code = self._process.returncode
        self._finish()
        return ending_words(CLOSED if code is None else code)

    def close(self) -> None:
        """Let it end, as it has nothing more to do."""
        self._pipes.close_sink()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(2 * PATIENCE)
        self._finish()

    def _finish(self) -> None:
        with self._reaping:
            if not self._gone:
                _kill(self._process)
                end_session(self.pid)  # it outlives its head where the function has started something
            self._gone = True  # its number may soon be another's
        self._process.wait()
        self._guardian.over(self.pid)
        self._pipes.close()

    def _take(self, reply: ChildReply) -> Sequence[Task]:
        """The tasks that *reply* is about, which are under way no longer. Jobs are done in the order they were sent."""
        first = next(iter(self._sent), 0)
        numbers = reply.numbers if isinstance(reply, JobsReturned) else [reply.number]
        if isinstance(reply, JobsReturned) == (first in numbers) or not {*numbers} <= self._sent.keys():
            raise Garbled
        tasks = [task for number in numbers for task in self._sent.pop(number)]
        self.ahead -= weight(tasks)
        return tasks


def weight(tasks: Sequence[Task]) -> int:
    """Bytes that *tasks* take on their way, more or less."""
    return sum(len(task.payload) + _REST for task in tasks)


def _kill(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        with suppress(ProcessLookupError, PermissionError):  # all of it has ended; macOS says so in its own way
            os.killpg(process.pid, signal.SIGKILL)


def ending_words(code: int) -> str:
    """Return in words how a process ended, by its exit *code*."""
    if code == CLOSED:
        return "the process closed its pipe"
    if code >= 0:
        return f"the process ended with exit code {code}"
    name = signal.strsignal(-code)
    hint = "; the kernel does this when memory is short" if -code == _KILL else ""
    return f"the process ended with signal {-code}" + (f" ({name}{hint})" if name else "")
