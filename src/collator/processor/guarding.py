"""The guardian, seen from the service: how it is started, and what it is told."""

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
        self._kept = Kept(lambda: [sink], first=self._tell_of_fork if mark else bool)
        self._close = finalize(self, os.close, sink)
        arguments = [sys.executable, "-I", "-S", guardian.__file__, str(os.getsid(0)), mark]
        try:
            subprocess.run(  # noqa: S603 - a program of ours; it goes on in a fork
                arguments,
                stdin=source,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
                check=True,
            )
            self._sink = sink
        except (OSError, subprocess.CalledProcessError) as error:
            log.warning("what the processor starts may outlive the service: no guardian", reason=str(error))
        finally:
            os.close(source)

    def begun(self, session: int) -> None:
        """A process was started that is the head of *session*."""
        self._tell("session", session)

    def over(self, session: int) -> None:
        """All of *session* has ended."""
        self._tell("over", session)

    def close(self) -> None:
        """Let it end what there is."""
        if sys.platform != "win32":
            self._kept.release()
            self._close()

    def _tell_of_fork(self) -> None:
        self._tell("fork", os.getpid())

    def _tell(self, word: str, number: int) -> None:
        if self._sink is not None:
            with suppress(OSError):  # somebody has ended it
                os.write(self._sink, f"{word} {number}\n".encode())


@contextmanager
def guarded() -> Iterator[None]:
    """What this process starts while the context is open ends with it."""
    mark = f"{os.getpid()}-{secrets.token_hex(8)}"
    guard = Guardian(mark)
    os.environ[VARIABLE] = mark
    try:
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        guard.close()
