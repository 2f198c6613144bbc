"""Runs of outputs: outputs of one resource that were recorded together are one row with one checksum. Pure.

A run has `MOST` outputs and `SIZE` bytes at most, or one output; all of them were made at the same number of attempts,
and their numbers follow each other. A failure is a run of its own, which can be withdrawn (decision 41).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from collator.errors import Damaged
from collator.rules.outcomes import OutcomeRow
from collator.rules.resource import INDEX_BITS, INDEX_MASK

MOST = 1024
"""Outputs of a run: some 0.1 ms to read."""
SIZE = 256 * 1024
"""Bytes of the outputs of a run, with their separators, unless it has a single one."""

RunRow = tuple[int, int, int, str, int, str | None, str | None]
"""Resource, number of the first outcome, attempts, indexes as JSON, checksum, reason, outputs as a JSON array."""

_encode = msgspec.json.Encoder().encode
_decode_indexes = msgspec.json.Decoder(list[int]).decode
_decode_outputs = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Outrun(msgspec.Struct):
    """A run in the making."""

    resource_row: int
    seq: int
    attempts: int
    reason: str | None
    indexes: list[int] = []
    outputs: list[bytes] = []
    """None of a failure."""
    size: int = 0

    def row(self) -> RunRow:
        """The row of the store that it is."""
        indexes = _encode(self.indexes)
        outputs = b"[%b]" % b",".join(self.outputs) if self.outputs else None
        crc = checksum(indexes, outputs or b"")
        text = None if outputs is None else outputs.decode()
        return self.resource_row, self.seq, self.attempts, indexes.decode(), crc, self.reason, text


def runs_of(outcomes: Iterable[OutcomeRow]) -> list[RunRow]:
    """*outcomes* as runs; those of each resource come in the order of their numbers."""
    runs: list[Outrun] = []
    last: dict[int, Outrun] = {}
    for key, output, reason, attempts, seq in outcomes:
        resource_row = key >> INDEX_BITS
        run = last.get(resource_row)
        if run is None or output is None or not _fits(run, output, attempts, seq):
            run = last[resource_row] = Outrun(resource_row, seq, attempts, reason)
            runs.append(run)
        run.indexes.append(key & INDEX_MASK)
        if output is not None:
            run.outputs.append(output)
            run.size += len(output) + 1
    return [run.row() for run in runs]


def _fits(run: Outrun, output: bytes, attempts: int, seq: int) -> bool:
    number = len(run.outputs)  # 0 of a failure, behind which nothing fits
    return 0 < number < MOST and run.size + len(output) < SIZE and run.attempts == attempts and run.seq + number == seq


def checksum(indexes: bytes, outputs: bytes) -> int:
    """The checksum of a run."""
    return zlib.crc32(outputs, zlib.crc32(indexes))


def indexes_of(indexes: bytes) -> list[int]:
    """The *indexes* of a run; none where they are damaged: what a body lacks is then told by its number of outputs."""
    try:
        found = _decode_indexes(indexes)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return []
    return found if found and min(found) >= 0 and max(found) <= INDEX_MASK else []


def verified(indexes: bytes, outputs: bytes, crc: int) -> Sequence[int]:
    """The indexes of a run, once it has its checksum. `Damaged`."""
    if checksum(indexes, outputs) != crc:
        raise damaged(indexes_of(indexes))
    return _decode_indexes(indexes)


def outputs_of(indexes: bytes, outputs: bytes, crc: int) -> Iterator[tuple[int, bytes]]:
    """The indexes and outputs of a run, the outputs as they came, with the white space around them. `Damaged`."""
    found = verified(indexes, outputs, crc)
    values = [outputs[1:-1]] if len(found) == 1 else _split(outputs)
    return zip(found, values, strict=True)


def damaged(indexes: Sequence[int]) -> Damaged:
    """The error for a run with *indexes* that is not what was written."""
    if len(indexes) == 1:
        return Damaged(f"the output of index {indexes[0]} does not match its checksum")
    among = f" of {len(indexes)} outputs from index {indexes[0]} on" if indexes else " of outputs"
    return Damaged(f"a run{among} does not match its checksum")


def _split(outputs: bytes) -> list[bytes]:
    values = [bytes(value) for value in _decode_outputs(outputs)]
    if sum(map(len, values)) + len(values) + 1 == len(outputs):
        return values
    found, place = [], 1
    for value in values:  # the decoder leaves white space out: behind a value it belongs to it up to the comma
        end = outputs.find(b",", outputs.index(value, place) + len(value))
        end = end if end >= 0 else len(outputs) - 1
        found.append(outputs[place:end])
        place = end + 1
    return found
