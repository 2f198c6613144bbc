"""The transport that the guard writes to: what is written in one turn of the loop leaves in one piece."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

import anyio
import pytest

from collator.web.limits import KIB, HttpLimits
from collator.web.transport import BufferedTransport

pytestmark = pytest.mark.anyio


class Recorder(asyncio.Transport):
    """A transport that keeps what is done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[object] = []
        self.gone = False
        self.unsent = 0

    def get_write_buffer_size(self) -> int:
        return self.unsent

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


def lingering(*, unread: Callable[[], bool] = bool) -> tuple[BufferedTransport, Recorder]:
    recorder = Recorder()
    return BufferedTransport(recorder, asyncio.get_running_loop(), HttpLimits(), unread=unread), recorder


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


def passing(transport: BufferedTransport, recorder: Recorder, unsent: Iterable[int], *, every: float) -> list[object]:
    """What was done when as many bytes as *unsent* says were left at each check, *every* so many seconds."""
    recorder.done.clear()
    now = asyncio.get_running_loop().time()
    for recorder.unsent in unsent:
        now += every
        transport.check(now)
    return recorder.done


EVERY = 20.0
"""Seconds between two checks."""
FAST, SLOW = int(EVERY * HttpLimits().write_rate), int(EVERY * HttpLimits().write_rate * 0.4)
"""Bytes that are taken in that time by who reads as slowly as one may, and by one who reads more slowly."""


@pytest.mark.parametrize("closing", [False, True])
@pytest.mark.parametrize("unread", [False, True])
@pytest.mark.parametrize(
    ("taken", "cut"), [([FAST] * 40, False), ([SLOW] * 40, True), ([FAST, 0, FAST, 0, FAST, 0], True), ([0, 0], True)]
)
async def test_s1_a_client_that_reads_slowly_is_not_one_that_reads_in_sips(
    closing: bool, unread: bool, taken: Iterable[int], cut: bool
) -> None:
    transport, recorder = lingering(unread=lambda: unread)
    transport.write(bytes(size := FAST * 41))
    await anyio.lowlevel.checkpoint()
    if closing:
        transport.close()
    unsent = [size := size - some for some in taken]
    assert ("abort" in passing(transport, recorder, unsent, every=EVERY)) == cut


async def test_s1_who_sips_is_cut_after_a_bounded_time() -> None:
    """600 bytes every 4 seconds: nobody lives on that."""
    transport, recorder = lingering()
    transport.write(bytes(1000 * KIB))
    await anyio.lowlevel.checkpoint()
    passing(transport, recorder, [1000 * KIB - 600 * sip for sip in range(10)], every=4.0)
    assert "abort" in recorder.done


async def test_s1_who_waits_for_news_is_not_one_who_does_not_read() -> None:
    """Only what is unread counts: an answer that comes in drops of its own, as receipts do, has all the time."""
    transport, recorder = lingering()
    for _ in range(50):
        transport.write(b"a receipt")
        await anyio.lowlevel.checkpoint()
        assert "abort" not in passing(transport, recorder, [9, 0], every=EVERY / 2)


async def test_what_goes_on_being_written_counts_as_taken_where_it_is() -> None:
    transport, recorder = lingering()
    now = asyncio.get_running_loop().time()
    for _ in range(20):
        transport.write(bytes(100 * KIB))
        recorder.unsent = 100 * KIB
        transport.check(now := now + 20.0)
    assert "abort" not in recorder.done


async def test_who_does_not_close_after_us_has_a_moment_from_the_last_byte_on() -> None:
    transport, recorder = lingering(unread=lambda: True)
    transport.write(bytes(1000 * KIB))
    transport.close()
    assert passing(transport, recorder, [500 * KIB, 0, 0], every=1.9) == []
    assert passing(transport, recorder, [0, 0], every=4.1) == ["abort"]


async def test_a_connection_without_an_answer_under_way_is_left_alone() -> None:
    transport, recorder = lingering()
    transport.write(b"answer")
    assert passing(transport, recorder, [0, 0, 0], every=100.0) == []
