"""Runs of outputs: outputs of one resource that were recorded together are one row with one checksum. Pure.

A run has `MOST` outputs and `SIZE` bytes at most, or one output; all of them were made at the same number of attempts,
and their numbers follow each other. A failure is a run of its own, which can be withdrawn (decision 41).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from collator.errors import Damaged
from collator.rules.outcomes import Outcomes
from collator.rules.resource import INDEX_MASK

MOST = 1024
"""Outputs of a run: some 0.1 ms to read."""
SIZE = 256 * 1024
"""Bytes of the outputs of a run, with their separators, unless it has a single one."""

RunRow = tuple[int, int, int, str, int, str | None, str | None]
"""Resource, number of the first outcome, attempts, indexes as JSON, checksum, reason, outputs as a JSON array."""

_encode = msgspec.json.Encoder().encode
_decode_indexes = msgspec.json.Decoder(list[int]).decode
_decode_outputs = msgspec.json.Decoder(list[msgspec.Raw]).decode


def rows_of(outcomes: Iterable[Outcomes]) -> list[RunRow]:
    """*outcomes*, which are used up, as runs; those of each resource come in the order of their numbers."""
    runs: list[Outcomes] = []
    last: dict[int, tuple[Outcomes, int]] = {}
    for outcome, size in _pieces(outcomes):
        before = last.get(outcome.resource_row)
        if before is not None and _fits(*before, outcome, size):
            run, filled = before
            run.indexes += outcome.indexes
            run.outputs += outcome.outputs
            last[outcome.resource_row] = run, filled + size
        else:
            last[outcome.resource_row] = outcome, size
            runs.append(outcome)
    return [_row(run) for run in runs]


def _pieces(outcomes: Iterable[Outcomes]) -> Iterator[tuple[Outcomes, int]]:
    """*outcomes*, one by one where they are too many or too large for a run, and the bytes of each."""
    for one in outcomes:
        size = sum(map(len, one.outputs)) + len(one.outputs)
        if len(one.indexes) == 1 or (len(one.indexes) <= MOST and size <= SIZE):
            yield one, size
            continue
        for seq, (index, output) in enumerate(zip(one.indexes, one.outputs, strict=True), one.seq):
            yield Outcomes(one.resource_row, seq, one.attempts, [index], [output]), len(output) + 1


def _row(run: Outcomes) -> RunRow:
    indexes = _encode(run.indexes)
    outputs = b"[%b]" % b",".join(run.outputs) if run.outputs else None
    crc = checksum(indexes, outputs or b"")
    text = None if outputs is None else outputs.decode()
    return run.resource_row, run.seq, run.attempts, indexes.decode(), crc, run.reason, text


def _fits(run: Outcomes, filled: int, more: Outcomes, size: int) -> bool:
    number = len(run.outputs)  # 0 of a failure, behind which nothing fits
    return (
        filled + size <= SIZE
        and 0 < number <= MOST - len(more.outputs)
        and bool(more.outputs)
        and run.attempts == more.attempts
        and run.seq + number == more.seq
    )


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
    return zip_outputs(verified(indexes, outputs, crc), outputs)


def zip_outputs(indexes: Sequence[int], outputs: bytes) -> Iterator[tuple[int, bytes]]:
    """Each of *indexes* with its output, of *outputs*, a JSON array."""
    values = [outputs[1:-1]] if len(indexes) == 1 else _split(outputs)
    return zip(indexes, values, strict=True)


def damaged(indexes: Sequence[int]) -> Damaged:
    """The error for a run with *indexes* that is not what was written."""
    if len(indexes) == 1:
        return Damaged(f"the output of index {indexes[0]} does not match its checksum")
    among = f" of {len(indexes)} outputs from index {indexes[0]} on" if indexes else " of outputs"
    return Damaged(f"a run{among} does not match its checksum")


def _split(outputs: bytes) -> list[bytes]:
    values = [*map(bytes, _decode_outputs(outputs))]
    if sum(map(len, values)) + len(values) + 1 == len(outputs):
        return values
    found, place = [], 1
    for value in values:  # the decoder leaves white space out: behind a value it belongs to it up to the comma
        end = outputs.find(b",", outputs.index(value, place) + len(value))
        end = end if end >= 0 else len(outputs) - 1
        found.append(outputs[place:end])
        place = end + 1
    return found
