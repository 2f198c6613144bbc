"""The functions that the services of these tests call; found as modules of the directory in which they are started."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio

from collator.errors import Permanent
from collator.processor import Partial, word_lengths

LOOK = 0.01
DEADLY = "die"


def slow(payload: str) -> list[int]:
    """Take 2 ms."""
    threading.Event().wait(0.002)
    return word_lengths(payload)


async def spelling(payload: str) -> AsyncGenerator[object, None]:
    """Show the text letter by letter, before all of it."""
    for length in range(1, len(payload)):
        yield Partial(payload[:length])
    yield payload


def slower(payload: str) -> list[int]:
    """Take 20 ms."""
    threading.Event().wait(0.020)
    return word_lengths(payload)


def dragging(payload: str) -> list[int]:
    """Take 3 s."""
    threading.Event().wait(3.0)
    return word_lengths(payload)


def wrong(payload: str) -> list[int]:
    """Wait as `gated` does, and give what is not the output."""
    return [0, *gated(payload)]


def gated(payload: str) -> list[int]:
    """Wait until the file that the environment names in GATE is there; ``.called`` beside it says that it waits."""
    host_check = Path(os.environ["GATE"])
    host_check.with_suffix(".called").touch()
    while not host_check.exists():
        threading.Event().wait(LOOK)
    return word_lengths(payload)


def failing(payload: str) -> list[int]:
    """Fail for good on what begins with ``fail``, until the file that the environment names in GATE is there."""
    if payload.startswith("fail") and not Path(os.environ["GATE"]).exists():
        raise Permanent("no such word")
    return slow(payload)


def holding(payload: str) -> list[int]:
    """As `gated`, if the payload begins so."""
    return gated(payload) if payload.startswith("hold") else word_lengths(payload)


def fatal(payload: str) -> list[int]:
    """End the process without a word, as a crash in a C library would, if the payload begins so."""
    if payload.startswith(DEADLY):
        os.kill(os.getpid(), signal.SIGKILL)
    return slow(payload)


def quoting(payload: str) -> list[int]:
    """Fail with an error that quotes the payload, behind what a terminal would obey; or outlast the timeout."""
    if payload.startswith("hang"):
        threading.Event().wait(3.0)
    raise ValueError(f"\x1b[31mcannot read\r\n{payload!r} = {payload}")


def hoard(payload: object) -> object:
    """Where the payload names a file: take every descriptor that there is, until that file is gone."""
    if not isinstance(payload, str) or not payload.startswith("/"):
        return payload
    held: list[int] = []
    while os.access(payload, os.F_OK):
        try:
            held.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            threading.Event().wait(0.005)
    for descriptor in held:
        os.close(descriptor)
    return len(held)


def meeting(payload: list[str]) -> str:
    """Touch the file that the payload names, and wait until there is one called ``over`` beside it."""
    path = Path(payload[0])
    path.touch()
    while not path.with_name("over").exists():
        threading.Event().wait(LOOK)
    return path.name


async def meeting_on_a_loop(payload: list[str]) -> str:
    """As `meeting`."""
    from tests.wait import until  # a copy of this file may stand elsewhere, alone

    path = anyio.Path(payload[0])
    await path.touch()
    await until(Path(payload[0]).with_name("over").exists, 60.0)
    return path.name


def enlarge(payload: int) -> str:
    """A text of as many characters as the payload says."""
    return "x" * payload


def swelling(payload: str) -> str:
    """Give a MiB where the payload says so, and nothing to speak of elsewhere."""
    return "x" * (2**20 - 2) if payload.startswith("swell") else ""


async def swelling_on_a_loop(payload: str) -> str:
    """As `swelling`."""
    return swelling(payload)


def swelling_together(payloads: list[str]) -> list[str]:
    """As `swelling`, for a batch."""
    return [*map(swelling, payloads)]
