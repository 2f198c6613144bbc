"""Bodies, joined from a frozen frame and immutable outputs; every part is verified against its checksum (P3)."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence

import msgspec

from collator.errors import Damaged
from collator.ledgers.postgresql.step import Step
from collator.rules.body import body
from collator.rules.resource import INDEX_BITS, INDEX_MASK
from collator.states import State

StoredOutput = tuple[int, bytes, int]
"""Key, JSON, crc32."""


class Frame(msgspec.Struct, frozen=True):
    """The parts of a body that are frozen at the closing of its resource."""

    resource_row: int
    state: State
    head: bytes
    tail: bytes
    crc: int
    """crc32 of head and tail."""
    done: int
    """How many outputs it has."""


def framed_crc(head: bytes, tail: bytes) -> int:
    """The checksum of a frame."""
    return zlib.crc32(tail, zlib.crc32(head))


async def load_frames(step: Step, resource_rows: Sequence[int]) -> list[Frame]:
    """The frames of the resources *resource_rows*."""
    if not resource_rows:
        return []
    return [
        Frame(resource_row, State(state), head or b"", tail or b"", -1 if crc is None else crc, done)
        for resource_row, state, head, tail, crc, done in await step.rows("frames_of", resource_rows)
    ]


async def inline_bodies(step: Step, frames: Sequence[Frame]) -> dict[int, bytes]:
    """The bodies of *frames*, by resource; a damaged one is left to who reads it piece by piece."""
    if not frames:
        return {}
    found = await step.rows("outputs_of", [frame.resource_row for frame in frames])
    return bodies_of(frames, [(key, output, crc) for key, output, crc in found])


def bodies_of(frames: Sequence[Frame], stored: Iterable[StoredOutput]) -> dict[int, bytes]:
    """The bodies of *frames*, with the outputs that are *stored*, in index order; as `inline_bodies`."""
    outputs: dict[int, list[StoredOutput]] = {frame.resource_row: [] for frame in frames}
    for one in stored:
        outputs[one[0] >> INDEX_BITS].append(one)
    joined = ((frame.resource_row, _join_verified(frame, outputs[frame.resource_row])) for frame in frames)
    return {resource_row: whole for resource_row, whole in joined if whole is not None}


def join(frame: Frame, outputs: Sequence[StoredOutput]) -> bytes:
    """The body of *frame* with all its *outputs*. `Damaged`."""
    if framed_crc(frame.head, frame.tail) != frame.crc:
        raise Damaged("the frame of the body does not match its checksum")
    if len(outputs) != frame.done:
        raise Damaged(f"{frame.done} outputs were stored, {len(outputs)} were found")
    return body(frame.state, frame.head, verified(outputs), frame.tail)


def verified(outputs: Iterable[StoredOutput]) -> list[tuple[int, bytes]]:
    """*outputs* as (index, JSON). `Damaged` where a checksum differs."""
    return [(key & INDEX_MASK, check_output(key & INDEX_MASK, output, crc)) for key, output, crc in outputs]


def check_output(index: int, output: bytes, crc: int) -> bytes:
    """The *output* of *index*. `Damaged` where its checksum is not *crc*."""
    if zlib.crc32(output) != crc:
        raise Damaged(f"the output of index {index} does not match its checksum")
    return output


def _join_verified(frame: Frame, outputs: Sequence[StoredOutput]) -> bytes | None:
    try:
        return join(frame, outputs)
    except Damaged:  # no commit fails for it: `Ledger.pieces` raises it again, to the one who wants to send it
        return None
