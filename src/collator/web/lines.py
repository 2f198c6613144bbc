"""A stream of bytes as lines, and lines as packets. Pure: no socket, no store.

Theory. A stream is cut at its line feeds into blocks of whole lines, one block for what one read gave, and each block
is decoded in one go. A line that is longer than any packet can be is dropped while it comes, so that memory stays
bounded, and is reported as one rejected line; the stream goes on behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import NamedTuple

from collator.errors import CollatorError, Malformed
from collator.json_text import AT_ONCE, Steps
from collator.packet import Packet, PacketLimits
from collator.web.formats import BOM, LOOKED_AT, name_for_lines
from collator.web.problems import HttpProblem, ProblemType
from collator.wire import DECODED, Lines, decode_line_steps, decode_lines, explain_lines, longest_packet


class Block(NamedTuple):
    """Whole lines that follow each other."""

    data: bytes
    """Each with its line feed; only the last of a stream may lack it. Of a line that was too long, how it begins."""
    first: int
    """The number of the first line, from 1."""
    lines: int
    too_long: bool = False

    @property
    def long(self) -> bool:
        """Whether it is one long line that may be a packet."""
        return self.lines == 1 and not self.too_long and len(self.data) > AT_ONCE

    @property
    def last(self) -> int:
        """The number of the last line."""
        return self.first + self.lines - 1


class Faults:
    """The lines of a block that hold no packet: counted, and put into words only when iterated over."""

    __slots__ = ("_explain", "_number")

    def __init__(self, number: int, explain: Callable[[], Iterator[tuple[int, CollatorError]]]) -> None:
        """Hold *number* faults; *explain* gives the number of each line, in order, and its error."""
        self._number = number
        self._explain = explain

    def __len__(self) -> int:
        """The number of faults."""
        return self._number

    def __iter__(self) -> Iterator[tuple[int, CollatorError]]:
        """Each with its number, and why."""
        return self._explain() if self._number else iter(())


class LineGroup(NamedTuple):
    """A block that was judged: what is offered to the store in one go."""

    packets: Sequence[Packet]
    numbers: Sequence[int]
    """The line of each packet."""
    faults: Faults
    """The lines that hold no packet, and why."""
    last: int
    """All lines up to this one are decided, once this group and those before it are."""
    size: int
    """Bytes."""

    @property
    def cost(self) -> int:
        """Bytes of memory that it takes, as it came and decoded."""
        return self.size + DECODED * len(self.packets)


class Splitter:
    """Cuts a stream into blocks."""

    def __init__(self, max_line: int) -> None:
        """Drop lines of more than *max_line* bytes."""
        self._max_line = max_line
        self._next = 1
        self._tail = bytearray()  # the beginning of a line whose end has not come
        self._dropping = False  # that line is too long: the rest of it is dropped as it comes
        self._start = b""  # how it begins

    @property
    def held(self) -> int:
        """Bytes of the line that has begun."""
        return len(self._tail)

    def feed(self, chunk: bytes) -> list[Block]:
        """The blocks that *chunk* completes."""
        cut = chunk.rfind(b"\n") + 1
        blocks = list(self._complete(chunk[:cut])) if cut else []
        self._keep(chunk[cut:])
        return blocks

    def end(self) -> Block | None:
        """The last line, where it has no line feed."""
        if self._dropping:
            return self._too_long(self._start)
        return self._block(bytes(self._tail), 1) if self._tail else None

    def _complete(self, data: bytes) -> Iterator[Block]:
        if self._dropping:
            yield self._too_long(self._start)
            data = data[data.find(b"\n") + 1 :]
        elif len(self._tail) > AT_ONCE:  # alone, so that it can be checked in steps
            end = data.find(b"\n") + 1
            yield from self._whole(bytes(self._tail) + data[:end])
            data = data[end:]
        elif self._tail:
            data = bytes(self._tail) + data
        self._dropping = False
        self._tail.clear()
        yield from self._whole(data)

    def _whole(self, data: bytes) -> Iterator[Block]:
        if len(data) > self._max_line:
            yield from self._sort_out(data)
        elif data:
            yield self._block(data, data.count(b"\n"))

    def _sort_out(self, data: bytes) -> Iterator[Block]:
        lines = data.split(b"\n")[:-1]
        for too_long, group in groupby(lines, lambda line: len(line) > self._max_line):
            run = [*group]
            if too_long:
                yield from (self._too_long(line[:LOOKED_AT]) for line in run)
            else:
                yield self._block(b"\n".join([*run, b""]), len(run))

    def _keep(self, rest: bytes) -> None:
        if self._dropping:
            return
        self._tail += rest
        if len(self._tail) > self._max_line:
            self._dropping = True
            self._start = bytes(self._tail[:LOOKED_AT])
            self._tail = bytearray()

    def _block(self, data: bytes, lines: int) -> Block:
        block = Block(data.removeprefix(BOM) if self._next == 1 else data, self._next, lines)
        self._next += lines
        return block

    def _too_long(self, start: bytes) -> Block:
        self._next += 1
        return Block(start, self._next - 1, 1, too_long=True)


def judge_steps(block: Block, packet_limits: PacketLimits, *, cut_off: bool = False) -> Steps[LineGroup]:
    """As `judge` of a *block* with one long line, in steps of a few milliseconds."""
    lines = yield from decode_line_steps(block.data, packet_limits)
    return _judged(block, lines, packet_limits, cut_off=cut_off)


def judge(block: Block, packet_limits: PacketLimits, *, cut_off: bool = False) -> LineGroup:
    """The packets of *block* and the faults of its other lines. Blank lines are neither.

    *cut_off*: it is a last line without its line feed, so that what cannot be decoded was cut off.
    """
    if block.too_long:
        return LineGroup((), (), Faults(1, partial(_explain_length, block, packet_limits)), block.last, 0)
    return _judged(block, decode_lines(block.data, packet_limits), packet_limits, cut_off=cut_off)


def _judged(block: Block, lines: Lines, packet_limits: PacketLimits, *, cut_off: bool = False) -> LineGroup:
    packets, places, malformed = lines
    faults = Faults(malformed, partial(_explain, block, places, packet_limits, cut_off=cut_off))
    whole = len(packets) == block.lines  # as nearly always
    numbers = range(block.first, block.last + 1) if whole else [block.first + place for place in places]
    return LineGroup(packets, numbers, faults, block.last, len(block.data))


def _explain_length(block: Block, packet_limits: PacketLimits) -> Iterator[tuple[int, CollatorError]]:
    name = _name(block)
    detail = f"a line may have at most {longest_packet(packet_limits)} bytes, a payload {packet_limits.max_payload}"
    yield block.first, Malformed(name) if name else HttpProblem(ProblemType.TOO_LARGE, detail)


def _explain(
    block: Block, taken: Sequence[int], packet_limits: PacketLimits, *, cut_off: bool
) -> Iterator[tuple[int, CollatorError]]:
    name = _name(block)
    for place, fault in explain_lines(block.data, frozenset(taken), packet_limits):
        error: CollatorError = fault
        if name is not None:
            error, name = Malformed(name), None
        elif cut_off:
            error = HttpProblem(ProblemType.INCOMPLETE_LINE, f"the stream ended within this line: {fault.detail}")
        yield block.first + place, error


def _name(block: Block) -> str | None:
    """Name the format of a stream that begins with *block*, where that is no stream of packets."""
    return name_for_lines(block.data) if block.first == 1 else None
