"""Bodies, read piece by piece: so much of a body as a piece has is in memory, however large it is (P5).

Every part is verified against its checksum before its last byte is given (P3), the frame before anything is. Each piece
is a look of its own, so that no reading of the store waits for more than one of them. What a generation that has ended
holds does not change, so that all looks see the same; but a retry between two of them moves it, so that each look finds
out where it is.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import apsw

from collator.errors import Damaged, Unknown
from collator.messages import Delivery
from collator.rules.body import around
from collator.rules.resource import INDEX_BITS, INDEX_MASK
from collator.states import State

PIECE = 256 * 1024
"""Bytes that are read of the store for one piece; of small outputs up to twice as many make one."""
_MOST_OUTPUTS = 4096
"""Outputs in a piece: some 5 ms."""

_Stored = tuple[int, bytes | None, int]


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

    def __init__(self, connection: apsw.Connection, statements: Mapping[str, str]) -> None:
        self._connection = connection
        self._statements = statements

    def pieces(self, delivery: Delivery) -> Iterator[bytes]:
        """The body of *delivery*; each step is one look. `Unknown`, `Damaged`."""
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
        place = self._find(delivery)
        state, behind = State(place.state), (place.resource_row << INDEX_BITS) - 1
        count, comma = 0, b""
        while found := self._outputs_behind(behind, self._find(delivery)):
            parts = []
            for key, output, crc in found:
                before, after = around(state, key & INDEX_MASK)
                parts += [comma, before]
                if output is None:
                    yield b"".join(parts)
                    parts = []
                    yield from _verified(self._value("outcome", "output", key), crc, key)
                else:
                    parts += _verified([output], crc, key)
                parts.append(after)
                comma = b","
            yield b"".join(parts)
            behind, count = found[-1][0], count + len(found)
        if count != place.done:
            raise Damaged(f"{place.done} outputs were stored, {count} were found")

    def _outputs_behind(self, key: int, place: _Place) -> list[_Stored]:
        last = place.resource_row << INDEX_BITS | INDEX_MASK
        found: list[_Stored] = []
        size = 0
        for row in self._connection.execute(self._statements["outputs_behind"], (key, last, PIECE, place.last_seq)):
            found.append(row)
            size += PIECE if row[1] is None else len(row[1])
            if size >= PIECE or len(found) == _MOST_OUTPUTS:
                break
        return found

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


def _verified(pieces: Iterator[bytes] | list[bytes], crc: int, key: int) -> Iterator[bytes]:
    """Give *pieces* of the output of *key*, the last of them once it is known that all match *crc*."""
    checked, held = 0, b""
    for piece in pieces:
        if held:
            yield held
        checked, held = zlib.crc32(piece, checked), piece
    if checked != crc:
        raise Damaged(f"the output of index {key & INDEX_MASK} does not match its checksum")
    yield held
