"""Commands of Collator, and servers, as child processes: started, waited for, and stopped on every way out."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import collator
from collator.cli.terminal import print_lines
from collator.errors import CollatorError
from collator.files import open_private
from collator.signals import stops

START, STOP = 60.0, 20.0
"""Seconds that a child may take to be ready, and to end when it is told to."""
_PAUSE = 0.02


class Child(NamedTuple):
    """A program that runs beside others."""

    name: str
    """What it says goes to NAME.log."""
    command: Sequence[str]
    ready: Callable[[], bool]
    says: str
    """Printed once it is ready."""


@contextmanager
def children(*wanted: Child, directory: Path) -> Iterator[None]:
    """Run *wanted* side by side in *directory* while the context is open.

    Entered once all are ready. They get SIGTERM at the end. Raises `CollatorError`, with its last words, where one ends
    before it is ready.
    """
    processes: list[subprocess.Popen[bytes]] = []
    with ExitStack() as stack:
        stack.callback(_stop, processes)
        uninterrupted(lambda: processes.extend(spawn(one.name, one.command, directory=directory) for one in wanted))
        for one, process in zip(wanted, processes, strict=True):
            _wait_until(one.ready, process, one.name, directory / f"{one.name}.log")
            print_lines(one.says)
        yield


def spawn(name: str, command: Sequence[str], *, directory: Path) -> subprocess.Popen[bytes]:
    """Start *command* in *directory*; what it says goes to NAME.log there, behind what others said."""
    log = open_private(directory / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with os.fdopen(log, "ab") as output:
        return subprocess.Popen(  # noqa: S603 - a program of ours or a server, and no shell
            command,
            cwd=directory,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for the parent, which then stops its children in order
        )


def uninterrupted(work: Callable[[], None]) -> None:
    """Do *work* to its end, and let signals that stop count only then; they interrupt none but the main thread.

    A child that starts just as one comes would be known to no caller, and stay.
    """
    if threading.current_thread() is not threading.main_thread():
        work()
        return
    told: list[int] = []
    before = {number: signal.signal(number, lambda given, _frame: told.append(given)) for number in stops()}
    try:
        work()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if told:
        signal.raise_signal(told[0])


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


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill *process*, and those that it has started, such as the processes of a worker, where the system has groups."""
    if sys.platform == "win32":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)


def _wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], name: str, log: Path) -> None:
    end = time.monotonic() + START
    while not ready():
        if process.poll() is not None or time.monotonic() > end:
            state = "ended" if process.poll() is not None else f"was not ready within {START:g} s"
            last = log.read_text("utf-8", "replace").splitlines()[-3:]
            raise CollatorError(f"the {name} {state}; {log} ends with:\n" + "\n".join(last))
        time.sleep(_PAUSE)


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Tell all *processes* to end, and wait until they have."""
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(STOP)
        except subprocess.TimeoutExpired:
            kill_group(process)
            process.wait()
