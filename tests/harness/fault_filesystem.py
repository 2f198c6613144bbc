"""Functions of a user that go wrong in every way; the payload says in which."""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from collator.errors import Permanent

released = threading.Event()
"""Ends the calls that hang in this process, when the tests are through with them."""


def hang() -> object:
    """Wait, for longer than any test."""
    return released.wait(60.0)


def seize() -> object:
    """Keep the interpreter lock: no other thread of the process moves."""
    return re.match(r"(a|aa)+$", "a" * 60 + "b")


def fail() -> object:
    raise ValueError("no sound in it")


FAILS = f"tests/harness/fault_filesystem.py, line {fail.__code__.co_firstlineno + 1}, in fail"
"""Where that is, as reasons have it."""


def refuse() -> object:
    raise Permanent("this is a picture")


def leave() -> object:
    os._exit(7)


def crash() -> object:
    """A null pointer, as in a library that is written in C; without a dump of 100 MB."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return ctypes.string_at(0)


def devour() -> object:
    return bytearray(8 * 1024**3)


DEVOURS = f"tests/harness/fault_filesystem.py, line {devour.__code__.co_firstlineno + 1}, in devour"


def no_json() -> object:
    return {"sound": object()}


def large() -> object:
    """100 MB of JSON out of 1 MB of memory."""
    return ["x" * 1_000_000] * 100


def fork() -> object:
    """Leave a child behind that holds every file, and die."""
    if os.fork() == 0:
        threading.Event().wait(60.0)
    os._exit(9)


def talk() -> object:
    """Write where a process usually may."""
    print("hello from the processor")  # noqa: T201 - that is its fault
    os.write(1, b"\x00\x00\x00\x05hello")
    return sys.stdin.read()


def close() -> object:
    """Close every file, as daemons do."""
    os.closerange(3, 64)
    return hang()


def close_and_return() -> object:
    """The same, and come back."""
    os.closerange(3, 64)
    return None


FAULTS: dict[str, Callable[[], object]] = {
    one.__name__: one
    for one in (hang, seize, fail, refuse, leave, crash, devour, no_json, large, fork, talk, close, close_and_return)
}


def gated(path: str) -> str:
    """Say that the call has begun, and wait until the file *path* is there."""
    Path(path + ".begun").touch()
    while not Path(path).exists():
        threading.Event().wait(0.01)
    return path


def begin(fault: str, path: str) -> object:
    """Say that the call has begun, and go wrong."""
    Path(path).touch()
    return FAULTS[fault]()


def start(path: str) -> object:
    """Start a program that goes on, and write down which."""
    program = subprocess.Popen(["sleep", "60"])
    return Path(path).write_text(str(program.pid), "ascii")


def plain(payload: object) -> object:
    """Do as *payload* says; give back what says nothing."""
    if isinstance(payload, list):
        fault, path = payload
        return start(path) if fault == "start" else begin(fault, path)
    return FAULTS[payload]() if isinstance(payload, str) and payload in FAULTS else payload


def batch(payloads: Sequence[object]) -> object:
    """The same for several: one that goes wrong takes all with it."""
    return [plain(payload) for payload in payloads]


async def coroutine(payload: object) -> object:
    """The same, after others have had their turn."""
    loop = asyncio.get_running_loop()
    turn = loop.create_future()
    loop.call_soon(turn.set_result, None)
    await turn
    if payload == "wait":
        return await loop.create_future()
    if payload == "deaf":
        return await _deaf()
    return plain(payload)


async def coroutine_batch(payloads: Sequence[object]) -> object:
    """The same for several."""
    return [await coroutine(payload) for payload in payloads]


async def in_thread(payload: object) -> object:
    """The same in a thread of asyncio's own pool, as people do with code that blocks."""
    return await asyncio.to_thread(plain, payload)


async def loop_id(_payload: object) -> int:
    return id(asyncio.get_running_loop())


async def _deaf() -> object:
    """Go on although one is told to end."""
    while not released.is_set():
        try:
            await asyncio.get_running_loop().run_in_executor(None, released.wait, 0.05)
        except asyncio.CancelledError:
            continue
    return None
