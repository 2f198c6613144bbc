"""Commands of Collator as child processes: started, waited for, and stopped on every way out."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import collator
from collator.errors import CollatorError
from collator.files import open_private

START, STOP = 20.0, 20.0
"""Seconds that a child may take to be ready, and to end when it is told to."""
_PAUSE = 0.02


@contextmanager
def child(name: str, *arguments: str, directory: Path, ready: Callable[[], bool]) -> Iterator[None]:
    """Run ``collator ARGUMENTS`` in *directory* while the context is open; what it says goes to NAME.log there.

    Entered once *ready* says so. It gets SIGTERM at the end. Raises `CollatorError`, with its last words, where it
    ends before it is ready.
    """
    process = spawn(name, *arguments, directory=directory)
    try:
        _wait_until(ready, process, name, directory / f"{name}.log")
        yield
    finally:
        _stop(process)


def spawn(name: str, *arguments: str, directory: Path) -> subprocess.Popen[bytes]:
    """Start ``collator ARGUMENTS`` in *directory*; what it says goes to NAME.log there, behind what others said."""
    log = open_private(directory / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with os.fdopen(log, "ab") as output:
        return subprocess.Popen(  # noqa: S603 - our own program, and no shell
            command_line(*arguments),
            cwd=directory,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for the parent, which then stops its children in order
        )


def command_line(*arguments: str) -> list[str]:
    """The command line of ``collator ARGUMENTS``, with the interpreter that runs this."""
    return [sys.executable, "-m", "collator", *arguments]


def typed(script: str) -> str:
    """The words to type for ``collator`` where *script*, the ``sys.argv[0]`` of a Collator, was run."""
    if Path(script).stem != "collator":  # python -m collator
        return f"{shlex.quote(sys.executable)} -m collator"
    found = shutil.which("collator")
    return "collator" if found and Path(found).resolve() == Path(script).resolve() else shlex.quote(script)


def environment() -> dict[str, str]:
    """The environment without settings of Collator, so that only arguments count, and with this very Collator."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COLLATOR_")}
    here = str(Path(collator.__file__).resolve().parents[1])
    return kept | {"PYTHONPATH": os.pathsep.join([here, *filter(None, [kept.get("PYTHONPATH")])])}


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def listens(port: int) -> bool:
    """Return whether somebody listens on *port* of 127.0.0.1."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True


def _wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], name: str, log: Path) -> None:
    end = time.monotonic() + START
    while not ready():
        if process.poll() is not None or time.monotonic() > end:
            state = "ended" if process.poll() is not None else f"was not ready within {START:g} s"
            last = log.read_text("utf-8", "replace").splitlines()[-3:]
            raise CollatorError(f"the {name} {state}; {log} ends with:\n" + "\n".join(last))
        time.sleep(_PAUSE)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
