"""The processor of these tests: the payload says what a call does, and files tell the test what has happened.

Files, as a worker may be in another process: each call adds a line when it begins and one when it ends. The functions
here are the user's code, found by name like any other.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import TypedDict

from tests.wait import until

LOOK = 0.005
"""Seconds between two looks at a file."""
CALLS = count(1)
"""The calls of `forge` in this process: where nothing else is called in it, the numbers of its jobs."""
PATIENCE = 60.0
"""Seconds after which a call that waits ends by itself, should its test have ended without a word."""


class Payload(TypedDict, total=False):
    """What a call does."""

    files: str
    """The directory of the test's files."""
    value: int
    """The output, and the name of the packet in the files."""
    do: str
    """``wait`` until the test opens the gate, ``fail``, give ``no_json``, ``die``, ``forge`` an answer, or nothing."""
    times: int
    """At how many of the first calls; at all where it is not said."""


def plain(payload: Payload) -> object:
    """Do as *payload* says."""
    number = _begin(payload)
    if _acts(payload, "wait", number):
        _wait(payload)
    return _end(payload, number)


def batch(payloads: Sequence[Payload]) -> list[object]:
    """Do so one after another."""
    return [*map(plain, payloads)]


async def coroutine(payload: Payload) -> object:
    """Do so, and let others have their turn meanwhile."""
    number = _begin(payload)
    if _acts(payload, "wait", number):
        await until(_gate(payload).exists, PATIENCE)
    return _end(payload, number)


def forge(payload: Payload) -> object:
    """Where *payload* says ``forge``: answer for the jobs behind this one, by every way into the service."""
    job, number = next(CALLS), _begin(payload)
    if _acts(payload, "forge", number):
        _forge(range(job + 1, job + 9))
    return _end(payload, number)


def _begin(payload: Payload) -> int:
    """Note the call: 1 for the first one of its packet."""
    _note(payload, "begin")
    return sum(line.split()[:2] == ["begin", str(payload["value"])] for line in _lines(payload))


def _end(payload: Payload, number: int) -> object:
    if _acts(payload, "die", number):
        os._exit(7)
    _note(payload, "end")
    if _acts(payload, "fail", number):
        raise ValueError("no sound in it")
    return object() if _acts(payload, "no_json", number) else payload["value"]


def _acts(payload: Payload, what: str, number: int) -> bool:
    return payload.get("do") == what and number <= payload.get("times", number)


def _wait(payload: Payload) -> None:
    never = threading.Event()
    for _ in range(int(PATIENCE / LOOK)):
        if _gate(payload).exists():
            return
        never.wait(LOOK)


def _forge(jobs: Sequence[int]) -> None:
    from collator.processor.wire import JobDone, OutputAnswer, frame

    forged = b"".join(frame(JobDone(job, [OutputAnswer(b"-1")])) for job in jobs)
    for descriptor in range(3, 40):
        try:
            os.write(descriptor, forged)
        except OSError:
            continue


def _gate(payload: Payload) -> Path:
    return Path(payload["files"], "open")


def _lines(payload: Payload) -> list[str]:
    return Path(payload["files"], "calls").read_text("ascii").splitlines()


def _note(payload: Payload, what: str) -> None:
    with Path(payload["files"], "calls").open("a", encoding="ascii") as calls:
        calls.write(f"{what} {payload['value']} {os.getpid()}\n")
