"""Bodies, joined from a frozen frame and immutable outputs; every part is verified against its checksum (P3)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import msgspec

from collator.errors import Damaged
from collator.ledgers.sqlite.outruns import verified, zip_outputs
from collator.ledgers.sqlite.store import Store, as_json
from collator.rules.body import body
from collator.states import State

StoredRun = tuple[bytes, bytes, int]
"""Indexes, outputs, checksum of a run."""
_StoredFrame = tuple[int, State, str, str, int, int]
_decode_frames = msgspec.json.Decoder(list[_StoredFrame]).decode
_decode_runs = msgspec.json.Decoder(list[tuple[int, str, str, int]]).decode


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


def load_frames(store: Store, resource_rows: Sequence[int]) -> list[Frame]:
    """The frames of the resources *resource_rows*."""
    if not resource_rows:
        return []
    stored = _decode_frames(store.value("frames_of", as_json(resource_rows)).encode())
    return [Frame(row, state, head.encode(), tail.encode(), crc, done) for row, state, head, tail, crc, done in stored]


def inline_bodies(store: Store, frames: Sequence[Frame]) -> dict[int, bytes]:
    """The bodies of *frames*, by resource, of outputs that are read; a damaged one is left to the reader."""
    if not frames:
        return {}
    runs: dict[int, list[StoredRun]] = {frame.resource_row: [] for frame in frames}
    for resource_row, indexes, outputs, crc in _decode_runs(store.value("outputs_of", as_json([*runs])).encode()):
        runs[resource_row].append((indexes.encode(), outputs.encode(), crc))
    joined = ((frame.resource_row, _join_verified(frame, runs[frame.resource_row])) for frame in frames)
    return {resource_row: whole for resource_row, whole in joined if whole is not None}


def join(frame: Frame, runs: Sequence[StoredRun]) -> bytes:
    """The body of *frame* with the outputs of all its *runs*. `Damaged`."""
    if framed_crc(frame.head, frame.tail) != frame.crc:
        raise Damaged("the frame of the body does not match its checksum")
    indexes = [index for run in runs for index in verified(*run)]
    if len(indexes) != frame.done:
        raise Damaged(f"{frame.done} outputs were stored, {len(indexes)} were found")
    joined = b",".join([outputs[1:-1] for _, outputs, _ in runs])
    if frame.state is State.COLLATED and indexes == [*range(frame.done)]:  # as they came, which is the rule
        return frame.head + joined + frame.tail
    return assemble(frame, indexes, [output for _, output in zip_outputs(indexes, b"[%b]" % joined)])


def assemble(frame: Frame, indexes: Sequence[int], outputs: Sequence[bytes]) -> bytes:
    """The body of *frame* with all its *outputs*; *indexes* are theirs, in the same order."""
    return body(frame.state, frame.head, sorted(zip(indexes, outputs, strict=True)), frame.tail)


def check_payload(index: int, text: str, crc: int) -> bytes:
    """The payload *text* of *index* as JSON. `Damaged` where its checksum is not *crc*."""
    payload = text.encode()
    if zlib.crc32(payload) != crc:
        raise Damaged(f"the payload of index {index} does not match its checksum")
    return payload


def _join_verified(frame: Frame, runs: Sequence[StoredRun]) -> bytes | None:
    try:
        return join(frame, runs)
    except Damaged:  # no commit fails for it: `Ledger.pieces` raises it again, to the one who wants to send it
        return None
