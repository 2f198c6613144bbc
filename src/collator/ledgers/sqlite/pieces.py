"""Bodies, read piece by piece: so much of a body as a piece has is in memory, however large it is (P5).

Every part is verified against its checksum before its last byte is given (P3), the frame before anything is. Each piece
is a look of its own, so that no reading of the store waits for more than one of them. What a resource that has ended
holds does not change, so that all looks see the same.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping

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


class BodyReader:
    """Reads bodies by a connection of its owner."""

    def __init__(self, connection: apsw.Connection, statements: Mapping[str, str]) -> None:
        self._connection = connection
        self._statements = statements

    def pieces(self, delivery: Delivery) -> Iterator[bytes]:
        """The body of *delivery*; each step is one look. `Unknown`, `Damaged`."""
        where = (delivery.resource_id, delivery.generation.hex(), delivery.endpoint)
        found = self._connection.execute(self._statements["body_to_read"], where).fetchone()
        if found is None:
            raise Unknown(f"the delivery of resource {delivery.resource_id!r} to {delivery.endpoint} is gone")
        resource_row, state, done, crc = found
        self._check_frame(resource_row, crc)
        yield from self._value("resource", "head", resource_row)
        yield from self._outputs(resource_row, State(state), done)
        yield from self._value("resource", "tail", resource_row)

    def _check_frame(self, resource_row: int, crc: int) -> None:
        checked = 0
        for column in ("head", "tail"):
            for piece in self._value("resource", column, resource_row):
                checked = zlib.crc32(piece, checked)
        if checked != crc:
            raise Damaged("the frame of the body does not match its checksum")

    def _outputs(self, resource_row: int, state: State, done: int) -> Iterator[bytes]:
        behind, last, count, comma = (resource_row << INDEX_BITS) - 1, resource_row << INDEX_BITS | INDEX_MASK, 0, b""
        while found := self._outputs_behind(behind, last):
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
        if count != done:
            raise Damaged(f"{done} outputs were stored, {count} were found")

    def _outputs_behind(self, key: int, last: int) -> list[_Stored]:
        found: list[_Stored] = []
        size = 0
        for row in self._connection.execute(self._statements["outputs_behind"], (key, last, PIECE)):
            found.append(row)
            size += PIECE if row[1] is None else len(row[1])
            if size >= PIECE or len(found) == _MOST_OUTPUTS:
                break
        return found

    def _value(self, table: str, column: str, row: int) -> Iterator[bytes]:
        """The bytes of one value, which is never in memory as a whole."""
        offset = 0
        while piece := self._read(table, column, row, offset):
            yield piece
            offset += len(piece)

    def _read(self, table: str, column: str, row: int, offset: int) -> bytes:
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
