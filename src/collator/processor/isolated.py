"""A function of the user that is called in processes of its own, seen from the service: how it starts and ends them.

Theory. A process can be killed, and can die, without harm to anyone else. So each is a program of its own, not a fork
of the service with its threads, locks and memory; it finds the function by name. It is the head of a process group,
which is killed as a whole: what the function has started ends with it, and Ctrl-C at the terminal of the service does
not reach it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from collator.errors import ConfigError, ProcessorFailed
from collator.processor.endings import Endings
from collator.processor.wire import Job, Ready, Reply, Setup, frame, reader

PATIENCE = 1.0
"""Seconds from the end of a pipe to the end of its process."""

_KILL = 9  # SIGKILL, which Windows does not have
_PROGRAM = "import sys; sys.path[:] = {path!r}; from collator.processor.child import main; main()"


class Isolated:
    """The function that *spec* names, for as many processes as are started."""

    def __init__(self, spec: str, endings: Endings | None = None, *, batch: int = 1, memory: int | None = None) -> None:
        """*memory*: bytes of address space that a process may have."""
        self.endings = endings or Endings()
        self.batch = batch
        self._memory = memory
        # As it is now: a process that replaces another finds what the first one found, wherever the program has gone.
        self._path = [os.path.abspath(one) for one in sys.path if _is_text(one)]  # noqa: PTH100 - "" is the directory
        self._setup = frame(Setup(spec, batch, self.endings.retries, self.endings.max_output, memory))

    def start(self) -> Child:
        """A new process, which is not `Child.ready` yet. Raises `OSError` where the system has none to give."""
        return Child(self._setup, self._path)

    def try_out(self) -> None:
        """Start a process, and let it end again. Raises `ConfigError` where the function cannot be called there."""
        try:
            child = self.start()
        except OSError as error:
            raise ConfigError(f"processor: no process can be started: {error.strerror}") from None
        try:
            child.ready()
        except ProcessorFailed as error:
            hint = "" if self._memory is None else f" (pool_memory is {self._memory / 2**20:g} MiB)"
            raise ConfigError(error.detail + hint) from None
        finally:
            child.close()


class Child:
    """One process. All but `alive` and `kill` belongs to one thread."""

    def __init__(self, setup: bytes, path: Sequence[str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - this very program, and a path of ours
            [sys.executable, "-c", _PROGRAM.format(path=path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError
        self._sink, self._source = self._process.stdin, self._process.stdout
        self._gone = False
        self._reaping = threading.Lock()
        self._receive = reader(self._source, Reply)
        self._write(setup)

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def ready(self) -> None:
        """Return when the function is there. Raises `ProcessorFailed`, saying why it never will be."""
        ready = reader(self._source, Ready)()
        if ready is None:
            raise ProcessorFailed(f"{self.end()}, before it was ready")
        if ready.problem:
            raise ProcessorFailed(ready.problem)

    def alive(self) -> bool:
        """Whether the process has not ended yet. From any thread."""
        with self._reaping:
            return self._process.poll() is None

    def send(self, jobs: Sequence[Job]) -> None:
        """Have it do *jobs*, one after the other. Where it has ended, that shows at `receive`."""
        self._write(b"".join(map(frame, jobs)))

    def receive(self) -> Reply | None:
        """The next thing that it says; `None` where it says nothing any more, or nothing that makes sense."""
        try:
            return self._receive()
        except msgspec.MsgspecError:  # the function wrote into a file that was not its own
            return None

    def kill(self) -> None:
        """End it, whatever it does, and what it has started. From any thread."""
        with self._reaping:
            if not self._gone:
                _kill(self._process)

    def end(self) -> str:
        """How the process ended that says nothing any more, in words; it has ended when this returns."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE)
        code = self._process.returncode
        self._finish()
        return "the process closed its pipe" if code is None else _words(code)

    def close(self) -> None:
        """Let it end, as it has nothing more to do."""
        with suppress(BrokenPipeError):
            self._sink.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(2 * PATIENCE)
        self._finish()

    def _finish(self) -> None:
        self.kill()  # the group outlives its head where the function has started something
        with self._reaping:
            self._gone = True  # its number may soon be another's
        self._process.wait()
        for pipe in (self._sink, self._source):
            with suppress(BrokenPipeError):
                pipe.close()

    def _write(self, data: bytes) -> None:
        with suppress(BrokenPipeError):
            self._sink.write(data)
            self._sink.flush()


def _kill(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.kill()
    else:
        with suppress(ProcessLookupError, PermissionError):  # all of it has ended; macOS says so in its own way
            os.killpg(process.pid, signal.SIGKILL)


def _words(code: int) -> str:
    if code >= 0:
        return f"the process ended with exit code {code}"
    name = signal.strsignal(-code)
    hint = "; the kernel does that when memory is short" if -code == _KILL else ""
    return f"the process ended with signal {-code}" + (f" ({name}{hint})" if name else "")


def _is_text(entry: object) -> bool:
    return isinstance(entry, str)
