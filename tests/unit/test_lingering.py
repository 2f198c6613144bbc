"""The transport that the guard writes to: what is written in one turn of the loop leaves in one piece."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import anyio
import pytest

from collator.web.limits import KIB, Limits
from collator.web.lingering import Lingering

pytestmark = pytest.mark.anyio


class Recorder(asyncio.Transport):
    """A transport that keeps what is done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[object] = []
        self.gone = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.done.append(bytes(data))

    def write_eof(self) -> None:
        self.done.append("eof")

    def resume_reading(self) -> None:
        self.done.append("read")

    def close(self) -> None:
        self.done.append("close")

    def abort(self) -> None:
        self.done.append("abort")

    def is_closing(self) -> bool:
        return self.gone


def lingering(*, unread: Callable[[], bool] = bool) -> tuple[Lingering, Recorder]:
    recorder = Recorder()
    return Lingering(recorder, asyncio.get_running_loop(), Limits(), unread=unread), recorder


async def test_head_and_body_of_an_answer_leave_together() -> None:
    transport, recorder = lingering()
    transport.write(b"head ")
    transport.write(bytearray(b"body"))
    assert recorder.done == []
    await anyio.lowlevel.checkpoint()
    assert recorder.done == [b"head body"]
    transport.write(b"next")
    await anyio.lowlevel.checkpoint()
    assert recorder.done == [b"head body", b"next"]


async def test_much_is_not_gathered() -> None:
    transport, recorder = lingering()
    pieces = [b"%d" % number * 32 * KIB for number in range(5)]
    for piece in pieces:
        transport.write(piece)
    assert recorder.done == [b"".join(pieces[:3])]
    await anyio.lowlevel.checkpoint()
    assert recorder.done == [b"".join(pieces[:3]), b"".join(pieces[3:])]


@pytest.mark.parametrize(("unread", "end"), [(False, ["close"]), (True, ["eof", "read"])])
async def test_what_was_written_leaves_before_the_end(unread: bool, end: list[str]) -> None:
    transport, recorder = lingering(unread=lambda: unread)
    transport.write(b"last words")
    transport.close()
    await anyio.lowlevel.checkpoint()
    assert recorder.done == [b"last words", *end]


async def test_nothing_is_written_where_nobody_is() -> None:
    aborted, recorder = lingering()
    aborted.write(b"lost")
    aborted.abort()
    left, other = lingering()
    left.write(b"lost")
    other.gone = True
    await anyio.lowlevel.checkpoint()
    assert (recorder.done, other.done) == (["abort"], [])
