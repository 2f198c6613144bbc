"""The guardian, seen from the service: how it is started, and the lines that it gets."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from weakref import finalize

import structlog

from collator.forks import Kept
from collator.processor import guardian
from collator.processor.guardian import VARIABLE

log = structlog.get_logger("collator.processor")


class Guardian:
    """Ends what was started once this process has ended, or this object is gone."""

    def __init__(self, mark: str = "") -> None:
        """*mark*: what this process has in `VARIABLE` of its environment, where it is to be answered for as a whole."""
        self._sink: int | None = None
        if sys.platform == "win32":
            return
        source, sink = os.pipe()
        forks, self._forked = os.pipe()  # which forks keep, so that those that they make are told of too
        self._pipe = os.fstat(self._forked)
        self._kept = Kept(lambda: [sink], first=self._send_fork if mark else bool)
        self._close = finalize(self, _close, sink, self._forked)
        arguments = [sys.executable, "-I", "-S", guardian.__file__, str(forks), str(os.getsid(0)), mark]
        try:
            subprocess.run(  # noqa: S603 - a program of ours; it goes on in a fork
                arguments,
                stdin=source,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[forks],
                start_new_session=True,
                cwd="/",
                check=True,
            )
            self._sink = sink
        except (OSError, subprocess.CalledProcessError) as error:
            log.warning(
                "cannot start the guardian process; processes that the processor starts may outlive the service",
                reason=str(error),
            )
        finally:
            _close(source, forks)

    def begun(self, session: int) -> None:
        """A process was started that is the head of *session*."""
        self._send(f"session {session}")

    def over(self, session: int) -> None:
        """All of *session* has ended."""
        self._send(f"over {session}")

    def close(self) -> None:
        """Let it end what there is."""
        if sys.platform != "win32":
            self._kept.release()
            self._close()

    def _send_fork(self) -> None:
        with suppress(OSError):  # it is closed, as daemons do
            if self._sink is not None and os.path.samestat(os.fstat(self._forked), self._pipe):  # no file of the user's
                _write(self._forked, f"fork {os.getpid()}")

    def _send(self, line: str) -> None:
        if self._sink is not None:
            _write(self._sink, line)


def _write(descriptor: int, line: str) -> None:
    with suppress(OSError):  # it was ended from outside
        os.write(descriptor, f"{line}\n".encode())


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


@contextmanager
def run_guardian() -> Iterator[None]:
    """End with this process what it starts while the context is open."""
    mark = f"{os.getpid()}-{secrets.token_hex(8)}"
    guard = Guardian(mark)
    os.environ[VARIABLE] = mark
    try:
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        guard.close()
