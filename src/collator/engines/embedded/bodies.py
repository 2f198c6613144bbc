"""Bodies, joined from a frozen frame and immutable outputs; every part is verified against its checksum (P3)."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence

import msgspec

from collator.collation import body
from collator.engines.embedded.store import INDEX_BITS, INDEX_MASK, Store, as_json
from collator.errors import Damaged
from collator.exchange import LARGE_BODY
from collator.states import State

INLINE_SUM = 16 * 1024 * 1024
"""Bodies that are not large are joined in the step that hands them out, up to so many bytes in one step; a reader joins
the others, so that no commit waits for them."""

StoredOutput = tuple[int, str, int]
"""Key or index, JSON, crc32."""
_decode_outputs = msgspec.json.Decoder(list[StoredOutput]).decode


class Frame(msgspec.Struct, frozen=True):
    """What is frozen of a body at the closing of its resource."""

    rk: int
    state: State
    head: str
    tail: str
    crc: int
    """crc32 of head and tail."""
    done: int
    """How many outputs it has."""
    size: int
    """Their bytes, with separators."""

    @property
    def whole(self) -> int:
        """Bytes of the body, but for its head."""
        return self.size + len(self.tail)  # which lists what is missing and what has failed

    @property
    def large(self) -> bool:
        """Whether its deliveries are large."""
        return self.whole > LARGE_BODY


def framed_crc(head: bytes, tail: bytes) -> int:
    """The checksum of a frame."""
    return zlib.crc32(tail, zlib.crc32(head))


def inline_bodies(store: Store, frames: Iterable[Frame]) -> dict[int, bytes]:
    """The bodies, by resource, of those *frames* that are joined at once; a damaged one is left to the reader."""
    chosen: dict[int, Frame] = {}
    total = 0
    for frame in frames:
        if not frame.large and total + frame.whole <= INLINE_SUM:
            total += frame.whole
            chosen[frame.rk] = frame
    if not chosen:
        return {}
    outputs: dict[int, list[StoredOutput]] = {rk: [] for rk in chosen}
    for row in _decode_outputs(store.value("outputs_of", as_json([*chosen])).encode()):
        outputs[row[0] >> INDEX_BITS].append(row)
    joined = ((rk, _join_sound(frame, outputs[rk])) for rk, frame in chosen.items())
    return {rk: whole for rk, whole in joined if whole is not None}


def join(frame: Frame, outputs: Sequence[StoredOutput]) -> bytes:
    """The body of *frame* with all its *outputs*. `Damaged`."""
    head, tail = frame.head.encode(), frame.tail.encode()
    if framed_crc(head, tail) != frame.crc:
        raise Damaged("the frame of the body does not match its checksum")
    if len(outputs) != frame.done:
        raise Damaged(f"{frame.done} outputs were stored, {len(outputs)} are there")
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


def _join_sound(frame: Frame, outputs: Sequence[StoredOutput]) -> bytes | None:
    try:
        return join(frame, outputs)
    except Damaged:  # no commit fails for it: `Ledger.body` raises it again, to the one who wants to send it
        return None
