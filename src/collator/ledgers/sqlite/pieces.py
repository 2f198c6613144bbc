"""Bodies, read piece by piece: so much of a body as a piece has is in memory, however large it is (P5).

Every part is verified against its checksum before its last byte is given (P3), the frame before anything is. Each piece
is a look of its own, so that no reading of the store waits for more than one of them. What a generation that has ended
holds does not change, so that all looks see the same; but a retry between two of them moves it, so that each look finds
out where it is.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import apsw

from collator.errors import Damaged, Unknown
from collator.ledgers.sqlite.output_map import OutputMap, OutputMaps, RunPlace
from collator.ledgers.sqlite.outruns import damaged, indexes_of
from collator.messages import Delivery
from collator.rules.body import around, body
from collator.states import State

PIECE = 256 * 1024
"""Bytes of one piece, at most, but for separators."""
WINDOW = 1024 * 1024
"""Bytes of outputs that are read together, about: each run that has some of them is read for it."""
_MOST_OUTPUTS = 65_536
"""Outputs that are read together: some 10 MB in memory."""
JOINED = 8192
"""Outputs that are joined in one go: some 5 ms."""


class _Place(NamedTuple):
    """The place of a body in the store."""

    table: str
    """That of its frame, ``resource`` or ``superseded``."""
    row: int
    resource_row: int
    state: str
    done: int
    last_seq: int
    """It has the outputs up to this number."""
    crc: int
    """crc32 of the frame."""


class BodyReader:
    """Reads bodies by a connection of its owner."""

    def __init__(self, connection: apsw.Connection, statements: Mapping[str, str], maps: OutputMaps) -> None:
        self._connection = connection
        self._statements = statements
        self._maps = maps

    def pieces(self, delivery: Delivery) -> Iterator[bytes]:
        """The body of *delivery*; each step is one look, and some give nothing yet. `Unknown`, `Damaged`."""
        self._check_frame(self._find(delivery))
        yield from self._part(delivery, "head")
        yield from self._outputs(delivery)
        yield from self._part(delivery, "tail")

    def _find(self, delivery: Delivery) -> _Place:
        where = (delivery.resource_id, delivery.generation.hex(), delivery.endpoint)
        for name in ("body_to_read", "superseded_body"):
            if found := self._connection.execute(self._statements[name], where).fetchone():
                return _Place(*found)
        raise Unknown(f"the delivery of resource {delivery.resource_id!r} to {delivery.endpoint} is gone")

    def _check_frame(self, place: _Place) -> None:
        checked = 0
        for column in ("head", "tail"):
            for piece in self._value(place.table, column, place.row):
                checked = zlib.crc32(piece, checked)
        if checked != place.crc:
            raise Damaged("the frame of the body does not match its checksum")

    def _part(self, delivery: Delivery, column: str) -> Iterator[bytes]:
        """The bytes of one part of the frame."""
        offset = 0
        while piece := self._read(*self._find(delivery)[:2], offset, column=column):
            yield piece
            offset += len(piece)

    def _outputs(self, delivery: Delivery) -> Iterator[bytes]:
        """The outputs and the commas between them."""
        where = self._maps.of(self._find(delivery).resource_row)
        while not where.advance():
            yield b""
        place = self._find(delivery)
        if (count := where.count(place.last_seq)) != place.done:
            raise Damaged(f"{place.done} outputs were stored, {count} were found")
        state, comma = State(place.state), b""
        after: int | None = -1
        while after is not None:
            last = self._find(delivery).last_seq
            indexes, after = where.behind(after, most=_MOST_OUTPUTS, size=WINDOW, last_seq=last)
            for piece in self._window(where, indexes, state) if indexes else ():
                yield comma + piece if piece else piece
                comma = b"" if piece else comma
            comma = b"," if indexes else comma

    def _window(self, where: OutputMap, indexes: Sequence[int], state: State) -> Iterator[bytes]:
        """The outputs of *indexes* with commas between them."""
        run = where.run_of(indexes[0])
        if run is not None and run.number == 1 and run.size > WINDOW:  # it is alone in its window
            before, after = around(state, indexes[0])
            yield before
            yield from self._large(run)
            yield after
            return
        first, last = indexes[0], indexes[-1]
        outputs: dict[int, bytes] = {}
        for run in where.runs(indexes):
            if run is None:
                yield b""
            else:
                outputs.update({index: output for index, output in where.outputs(run) if first <= index <= last})
        yield from _joined(state, indexes, outputs)

    def _large(self, run: RunPlace) -> Iterator[bytes]:
        """The one output of *run*: read twice, as it is too large to be held until its checksum is known."""
        ((indexes, crc),) = self._connection.execute(self._statements["head_of_outrun"], (run.n,))
        checked = zlib.crc32(indexes)
        for piece in self._value("outrun", "outputs", run.n):
            checked = zlib.crc32(piece, checked)
            yield b""
        if checked != crc:
            raise damaged(indexes_of(indexes))
        place = 1
        while place < run.size - 1:
            piece = self._read("outrun", run.n, place, column="outputs")
            yield piece[: run.size - 1 - place]
            place += len(piece)

    def _value(self, table: str, column: str, row: int) -> Iterator[bytes]:
        """The bytes of one value, which is never in memory as a whole."""
        offset = 0
        while piece := self._read(table, row, offset, column=column):
            yield piece
            offset += len(piece)

    def _read(self, table: str, row: int, offset: int, *, column: str) -> bytes:
        value = self._connection.blob_open("main", table, column, row, False)  # noqa: FBT003 - to read only
        try:
            value.seek(offset)
            return value.read(PIECE)
        finally:
            value.close()


def _joined(state: State, indexes: Sequence[int], outputs: Mapping[int, bytes]) -> Iterator[bytes]:
    """*outputs* in the order of *indexes*, with what is around each, in pieces."""
    comma = b""
    for start in range(0, len(indexes), JOINED):
        some = indexes[start : start + JOINED]
        whole = body(state, comma, zip(some, map(outputs.__getitem__, some), strict=True), b"")
        yield from (whole[begin : begin + PIECE] for begin in range(0, len(whole), PIECE))
        comma = b","
