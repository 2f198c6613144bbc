"""A stream of bytes as lines, and lines as packets. Pure: no socket, no store.

Theory. A stream is cut at its line feeds into blocks of whole lines, one block for what one read gave, and each block
is decoded in one go. A line that is longer than any packet can be is dropped while it comes, so that memory stays
bounded, and is reported as one rejected line; the stream goes on behind it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from collator.errors import CollatorError, Malformed
from collator.packet import Bounds, Packet
from collator.web.formats import BOM, LOOKED_AT, name_for_lines
from collator.web.problems import Kind, Refusal
from collator.wire import decode_lines, longest_packet

MAX_LINES = 2_000
"""Lines of a block: 64 KiB hold no more packets than that, but 30,000 lines of nonsense, which take 0.2 s to judge."""


class Block(NamedTuple):
    """Whole lines that follow each other."""

    data: bytes
    """Each with its line feed; only the last of a stream may lack it. Of a line that was too long, how it begins."""
    first: int
    """The number of the first line, from 1."""
    lines: int
    too_long: bool = False

    @property
    def last(self) -> int:
        """The number of the last line."""
        return self.first + self.lines - 1


class Group(NamedTuple):
    """A block that was judged: what is offered to the store in one go."""

    packets: Sequence[Packet]
    numbers: Sequence[int]
    """The line of each packet."""
    faults: Sequence[tuple[int, CollatorError]]
    """The lines that hold no packet, and why."""
    last: int
    """All lines up to this one are decided, once this group and those before it are."""
    size: int
    """Bytes."""


class Splitter:
    """Cuts a stream into blocks."""

    def __init__(self, max_line: int) -> None:
        """Drop lines of more than *max_line* bytes."""
        self._max_line = max_line
        self._next = 1
        self._tail = bytearray()  # the beginning of a line whose end has not come
        self._dropping = False  # that line is too long: the rest of it is dropped as it comes
        self._start = b""  # how it begins

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
        elif self._tail:
            data = bytes(self._tail) + data
        self._dropping = False
        self._tail.clear()
        if len(data) > self._max_line:
            yield from self._sort_out(data)
        elif (lines := data.count(b"\n")) > MAX_LINES:
            yield from self._in_pieces(data.split(b"\n")[:-1])
        elif lines:
            yield self._block(data, lines)

    def _sort_out(self, data: bytes) -> Iterator[Block]:
        lines = data.split(b"\n")[:-1]
        for too_long, run in groupby(lines, lambda line: len(line) > self._max_line):
            if too_long:
                yield from (self._too_long(line[:LOOKED_AT]) for line in run)
            else:
                yield from self._in_pieces([*run])

    def _in_pieces(self, lines: Sequence[bytes]) -> Iterator[Block]:
        for start in range(0, len(lines), MAX_LINES):
            some = lines[start : start + MAX_LINES]
            yield self._block(b"\n".join([*some, b""]), len(some))

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


def judge(block: Block, bounds: Bounds) -> Group:
    """The packets of *block* and the faults of its other lines. Blank lines are neither."""
    group = _judge(block, bounds)
    return _named(block, group) if group.faults and block.first == 1 else group


def _judge(block: Block, bounds: Bounds) -> Group:
    if block.too_long:
        fault = Refusal(
            Kind.TOO_LARGE, f"a line may have {longest_packet(bounds)} bytes, its payload {bounds.max_payload}"
        )
        return Group((), (), [(block.first, fault)], block.last, 0)
    items = decode_lines(block.data, bounds)
    if len(items) == block.lines:
        return _group(block, range(block.first, block.last + 1), items)
    lines = enumerate(block.data.split(b"\n"), block.first)
    return _group(block, [n for n, line in lines if line.strip()], items)


def judge_rest(block: Block, bounds: Bounds) -> Group:
    """As `judge`, for a last line without its line feed: what cannot be decoded was cut off."""
    group = _judge(block, bounds)
    if not block.too_long:
        cut_off = [
            (n, Refusal(Kind.CUT_OFF, f"the stream ended within this line: {e.detail}")) for n, e in group.faults
        ]
        group = group._replace(faults=cut_off)
    return _named(block, group) if group.faults and block.first == 1 else group


def _named(block: Block, group: Group) -> Group:
    """*group*, whose first fault says what the stream is, where it is something else."""
    name = name_for_lines(block.data)
    if name is None:
        return group
    (line, _), *others = group.faults
    return group._replace(faults=[(line, Malformed(name)), *others])


def _group(block: Block, numbers: Sequence[int], items: Sequence[Packet | Malformed]) -> Group:
    if Malformed not in map(type, items):
        return Group(items, numbers, (), block.last, len(block.data))  # type: ignore[arg-type]  # all are packets
    numbered = list(zip(numbers, items, strict=True))
    packets = [(n, item) for n, item in numbered if isinstance(item, Packet)]
    faults = [(n, item) for n, item in numbered if isinstance(item, Malformed)]
    return Group([p for _, p in packets], [n for n, _ in packets], faults, block.last, len(block.data))
