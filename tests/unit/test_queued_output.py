"""Output by a queue: nobody who prints waits, what is lost is counted, and the gap is told where it is."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from collator.queued_output import QueuedOutput
from tests.wait import until_sync

MUCH = 1024 * 1024
"""Bytes, more than any pipe holds."""
PATIENCE = 10.0


class Pipe(NamedTuple):
    """Both ends."""

    source: int
    sink: int

    def read(self, count: int) -> bytes:
        """*count* bytes."""
        found = b""
        while len(found) < count:
            found += os.read(self.source, count - len(found))
        return found


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    ends = Pipe(*os.pipe())
    yield ends
    os.close(ends.source)  # which ends a thread that still writes


def notice(lines: int) -> str:
    return f"{lines} lost\n"


def blocked(pipe: Pipe, *, limit: int) -> QueuedOutput:
    """An output whose thread stands still, as its pipe is full; nothing waits in its queue."""
    output = QueuedOutput(pipe.sink, notice, limit=limit)
    output.write(b"x" * (MUCH - 1) + b"\n")
    until_sync(lambda: output._is_writing)
    return output


def test_what_is_written_comes_out_in_order(pipe: Pipe) -> None:
    output = QueuedOutput(pipe.sink, notice)
    for number in range(100):
        output.write(b"%d\n" % number)
    assert output.drain(PATIENCE)
    assert pipe.read(290) == b"".join(b"%d\n" % number for number in range(100))
    assert output.lost == 0


def test_nobody_waits_for_a_pipe_that_nobody_reads_and_the_gap_is_told(pipe: Pipe) -> None:
    output = blocked(pipe, limit=8)
    for line in (b"one\n", b"two\n", b"three\n", b"four\nfive\n"):
        assert output.write(line) == len(line)
    assert output.lost == 3
    assert not output.drain(0.0)
    pipe.read(MUCH)
    assert output.drain(PATIENCE)
    output.write(b"six\n")
    assert pipe.read(19) == b"one\ntwo\n3 lost\nsix\n"


def test_a_piece_is_not_lost_for_its_size_alone(pipe: Pipe) -> None:
    output = QueuedOutput(pipe.sink, notice, limit=8)
    output.write(b"longer than that\n")
    assert pipe.read(17) == b"longer than that\n"


class Disk:
    """Has *capacity* for so many bytes of what is written to *descriptor*."""

    def __init__(self, descriptor: int, capacity: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.capacity = capacity
        self._descriptor, self._write = descriptor, os.write
        monkeypatch.setattr("os.write", self.write)

    def write(self, descriptor: int, data: bytes) -> int:
        if descriptor != self._descriptor:
            return self._write(descriptor, data)
        if not self.capacity:
            raise OSError(errno.ENOSPC, "full")
        written = self._write(descriptor, bytes(data)[: self.capacity])
        self.capacity -= written
        return written


def test_what_the_system_refuses_is_counted_and_told(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(pipe.sink, 0, monkeypatch)
    output = QueuedOutput(pipe.sink, notice)
    output.write(b"one\ntwo\n")
    until_sync(lambda: output.lost == 2)
    disk.capacity = 100
    output.write(b"three\n")
    assert pipe.read(13) == b"2 lost\nthree\n"


def test_a_line_that_was_torn_is_ended(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(pipe.sink, 5, monkeypatch)
    output = QueuedOutput(pipe.sink, notice)
    output.write(b"one\ntwo\n")
    until_sync(lambda: output.lost == 1)
    disk.capacity = 100
    output.write(b"three\n")
    assert pipe.read(19) == b"one\nt\n1 lost\nthree\n"


def test_a_descriptor_that_does_not_block_is_waited_for(pipe: Pipe) -> None:
    os.set_blocking(pipe.sink, False)
    output = blocked(pipe, limit=100)
    output.write(b"behind\n")
    assert pipe.read(MUCH + 7).endswith(b"x\nbehind\n")
    assert output.lost == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_copy_writes_though_the_thread_is_not_in_it(pipe: Pipe, tmp_path: Path) -> None:
    output = QueuedOutput(pipe.sink, notice)
    child = os.fork()
    if child == 0:
        output.write(b"from the copy\n")
        os._exit(0)
    assert os.waitpid(child, 0) == (child, 0)
    assert pipe.read(14) == b"from the copy\n"


def test_a_signal_handler_that_prints_while_somebody_prints_does_not_wait_for_him(pipe: Pipe) -> None:
    output = QueuedOutput(pipe.sink, notice)
    with output._changed:  # as where the handler comes in the middle of a write of the same thread
        output.write(b"handler\n")
        assert output.drain(PATIENCE)
    assert pipe.read(8) == b"handler\n"


def test_the_writer_goes_on_after_all(pipe: Pipe) -> None:
    output = blocked(pipe, limit=1)
    output.write(b"kept\n")
    for _ in range(1000):
        output.write(b"lost\n")
    pipe.read(MUCH)
    until_sync(partial(output.drain, 0.0))
    assert pipe.read(15) == b"kept\n1000 lost\n"
