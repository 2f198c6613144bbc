"""Functions of a user that fork: the payload says how, and what to answer. A copy would answer something else.

Every call is noted, with the process that made it, in the file that the payload names.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

WRONG = "answered by a copy"
LINGER = 0.3
"""Seconds for which a copy lives on after the call."""


def come_back() -> object:
    return None if os.fork() else WRONG


def fail() -> object:
    if os.fork() == 0:
        raise ValueError(WRONG)
    return None


def leave() -> object:
    pid = os.fork()
    if pid == 0:
        sys.exit(3)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
    return None


def live_on() -> object:
    if os.fork() == 0:
        threading.Event().wait(LINGER)
        return WRONG
    return None


def in_terminal() -> object:
    pid, terminal = os.forkpty()
    if pid == 0:
        return WRONG
    os.close(terminal)
    return None


def in_thread() -> object:
    forking = threading.Thread(target=os.fork)
    forking.start()
    forking.join()
    return None


def unseen() -> object:
    """As a library in C forks, without a word to Python."""
    return None if ctypes.PyDLL(None).fork() else WRONG


def many() -> object:
    return None if os.fork() and os.fork() and os.fork() else WRONG


def with_a_process() -> object:
    process = multiprocessing.get_context("fork").Process(target=os.getpid)
    process.start()
    process.join()
    return None


def with_a_pool() -> object:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(abs, [-1, 2]) == [1, 2]
    return None


def with_an_executor() -> object:
    with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as executor:
        assert [*executor.map(abs, [-1, 2])] == [1, 2]
    return None


def shout() -> object:
    """Write where it should not: into every descriptor that there is."""
    for descriptor in range(3, 40):
        if not os.isatty(descriptor):
            _write(descriptor, b"hello, hello, hello")
    return None


FORKS: dict[str, Callable[[], object]] = {
    one.__name__: one
    for one in (
        *(come_back, fail, leave, live_on, in_terminal, in_thread, unseen, many),
        *(with_a_process, with_a_pool, with_an_executor),
    )
}
WAYS = {**FORKS, "shout": shout}


def plain(payload: dict[str, Any]) -> object:
    """Fork as *payload* says, and give back its value; a copy gives something else."""
    return batch([payload])[0]


def batch(payloads: Sequence[dict[str, Any]]) -> list[object]:
    """The same for several."""
    for payload in payloads:
        with Path(payload["calls"]).open("a", encoding="ascii") as calls:
            calls.write(f"{payload['value']}\n")
    ways = [WAYS[payload["how"]] for payload in payloads if "how" in payload]
    wrong = ways[0]() if ways else None
    return [payload["value"] if wrong is None else wrong for payload in payloads]


async def coroutine(payload: dict[str, Any]) -> object:
    """The same on an event loop."""
    return plain(payload)


def abandon(payload: list[str]) -> object:
    """Leave behind a helper in a session of its own that has the pipe, say which it is, and die."""
    how, path = payload
    told, tell = os.pipe()
    system = ctypes.PyDLL(None)  # keeps the interpreter's lock, which a copy that Python knows nothing of may never get
    pid = os.fork() if how == "seen" else system.fork()
    if pid == 0:
        system.setsid()
        system.write(tell, b"!", 1)
        system.sleep(60)
    os.read(told, 1)  # in the session of this process it would be ended with it
    Path(path).write_text(str(pid), "ascii")
    os.abort()


def _write(descriptor: int, data: bytes) -> None:
    try:
        os.write(descriptor, data)
    except OSError:
        return
