"""Bodies, joined from a frozen frame and immutable outputs; every part is verified against its checksum (P3)."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence

import msgspec

from collator.errors import Damaged
from collator.ledgers.sqlite.store import Store, as_json
from collator.rules.body import body
from collator.rules.resource import INDEX_BITS, INDEX_MASK
from collator.states import State

StoredOutput = tuple[int, str, int]
"""Key or index, JSON, crc32."""
_StoredFrame = tuple[int, State, str, str, int, int]
_decode_frames = msgspec.json.Decoder(list[_StoredFrame]).decode
_decode_outputs = msgspec.json.Decoder(list[StoredOutput]).decode


class Frame(msgspec.Struct, frozen=True):
    """The parts of a body that are frozen at the closing of its resource."""

    resource_row: int
    state: State
    head: str
    tail: str
    crc: int
    """crc32 of head and tail."""
    done: int
    """How many outputs it has."""


def framed_crc(head: bytes, tail: bytes) -> int:
    """The checksum of a frame."""
    return zlib.crc32(tail, zlib.crc32(head))


def load_frames(store: Store, resource_rows: Sequence[int]) -> list[Frame]:
    """The frames of the resources *resource_rows*."""
    if not resource_rows:
        return []
    return [Frame(*row) for row in _decode_frames(store.value("frames_of", as_json(resource_rows)).encode())]


def inline_bodies(store: Store, frames: Sequence[Frame]) -> dict[int, bytes]:
    """The bodies of *frames*, by resource; a damaged one is left to the reader."""
    if not frames:
        return {}
    outputs: dict[int, list[StoredOutput]] = {frame.resource_row: [] for frame in frames}
    for row in _decode_outputs(store.value("outputs_of", as_json([*outputs])).encode()):
        outputs[row[0] >> INDEX_BITS].append(row)
    joined = ((frame.resource_row, _join_verified(frame, outputs[frame.resource_row])) for frame in frames)
    return {resource_row: whole for resource_row, whole in joined if whole is not None}


def join(frame: Frame, outputs: Sequence[StoredOutput]) -> bytes:
    """The body of *frame* with all its *outputs*. `Damaged`."""
    head, tail = frame.head.encode(), frame.tail.encode()
    if framed_crc(head, tail) != frame.crc:
        raise Damaged("the frame of the body does not match its checksum")
    if len(outputs) != frame.done:
        raise Damaged(f"{frame.done} outputs were stored, {len(outputs)} were found")
    return body(frame.state, head, verified(outputs), tail)


def verified(outputs: Iterable[StoredOutput]) -> list[tuple[int, bytes]]:
    """*outputs* as (index, JSON). `Damaged` where a checksum differs."""
    return [(key & INDEX_MASK, check_output(key & INDEX_MASK, text, crc)) for key, text, crc in outputs]


def check_output(index: int, text: str, crc: int) -> bytes:
    """The output *text* of *index* as JSON. `Damaged` where its checksum is not *crc*."""
    output = text.encode()
    if zlib.crc32(output) != crc:
        raise Damaged(f"the output of index {index} does not match its checksum")
    return output


def check_payload(index: int, text: str, crc: int) -> bytes:
    """The payload *text* of *index* as JSON. `Damaged` where its checksum is not *crc*."""
    payload = text.encode()
    if zlib.crc32(payload) != crc:
        raise Damaged(f"the payload of index {index} does not match its checksum")
    return payload


def _join_verified(frame: Frame, outputs: Sequence[StoredOutput]) -> bytes | None:
    try:
        return join(frame, outputs)
    except Damaged:  # no commit fails for it: `Ledger.pieces` raises it again, to the one who wants to send it
        return None
