"""Functions of a user that start something and go on until they are killed.

The payload says what to start, and in which folder to write the number of each.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.harness.fault_filesystem import released

LONG = 600.0
SLEEP = ("sleep", str(LONG))


def wait() -> None:
    threading.Event().wait(LONG)


def forked() -> int:
    process = multiprocessing.get_context("fork").Process(target=wait)
    process.start()
    return process.pid or 0


def spawned() -> int:
    process = multiprocessing.get_context("spawn").Process(target=wait)
    process.start()
    return process.pid or 0


def executed() -> int:
    executor = ProcessPoolExecutor(1, multiprocessing.get_context("fork"))
    executor.submit(wait)
    return next(iter(executor._processes))


def fork_that_starts() -> int:
    source, sink = os.pipe()
    if os.fork() == 0:
        process = subprocess.Popen(SLEEP, env={})
        os.write(sink, str(process.pid).encode())
        wait()
    return int(os.read(source, 20))


def fork_of_a_fork() -> int:
    """Left behind by the one that made it, as daemons are, but in the session of the service."""
    source, sink = os.pipe()
    if (first := os.fork()) == 0:
        if os.fork() == 0:
            os.write(sink, str(os.getpid()).encode())
            wait()
        os._exit(0)
    os.waitpid(first, 0)
    return int(os.read(source, 20))


def fork_apart() -> int:
    source, sink = os.pipe()
    if os.fork() == 0:
        os.setsid()
        os.write(sink, str(os.getpid()).encode())
        wait()
    return int(os.read(source, 20))


ENDED: dict[str, Callable[[], int]] = {
    "a program": lambda: subprocess.Popen(SLEEP).pid,
    "a program in a group of its own": lambda: subprocess.Popen(SLEEP, process_group=0).pid,
    "a program of a shell": lambda: int(
        subprocess.run(["sh", "-c", f"{' '.join(SLEEP)} >&- 2>&- & echo $!"], stdout=subprocess.PIPE, check=True).stdout
    ),
    "a fork": forked,
    "a fork that starts a program": fork_that_starts,
    "a fork of a fork that has ended": fork_of_a_fork,
    "a process by spawn": spawned,
    "a pool": executed,
}
APART: dict[str, Callable[[], int]] = {
    "a program in a session of its own": lambda: subprocess.Popen(SLEEP, start_new_session=True).pid,
    "a fork in a session of its own": fork_apart,
}


def plain(payload: object) -> object:
    """Start what *payload* says and go on until the service is gone; give back what says nothing."""
    if not isinstance(payload, list):
        return payload
    names, folder = payload
    paths = {name: Path(folder, name) for name in names}
    if all(path.exists() for path in paths.values()):  # the call is repeated, after the service was killed
        return names
    for name, path in paths.items():
        pid = {**ENDED, **APART}[name]()
        Path(f"{path}.new").write_text(str(pid), "ascii")
        Path(f"{path}.new").rename(path)
    return released.wait(LONG)


async def coroutine(payload: object) -> object:
    """The same, on an event loop."""
    return plain(payload)
