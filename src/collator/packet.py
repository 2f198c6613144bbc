"""What a sender gives: the packet, and the receipt it gets. Rules R1 to R4 live here, and nothing that needs a store.

A packet is decoded once. Its payload stays the bytes that were received (R3): what a processor reads, and what a
repeat is compared with, is what the sender wrote. Everything is checked here, before the packet can share a commit
with the packets of others. This is the one module that decodes the wire.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from collator.errors import Malformed
from collator.words import shown

T = TypeVar("T")

MAX_ID_BYTES = 255
MAX_METADATA = 4 * 1024
MAX_DEPTH = 128
TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
MAX_INDEX = 2**24 - 1
"""Whatever `Bounds.max_packets` says; a store may rely on it."""

NOT_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What the decoder raises: it looks at the UTF-8 of a text when it makes one, and not before."""

_EXACT = 2**53  # beyond it, not every whole number is a float
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class Packet(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One piece of one resource, as a sender gives it."""

    resource_id: str | int
    """Which resource: text of 1 to 255 UTF-8 bytes without control characters; an integer becomes its decimal text."""
    index: int
    """The place of this packet in its resource, from 0."""
    payload: msgspec.Raw
    """Any JSON value, as the bytes received."""
    last: bool = False
    """Says that this is the packet with the highest index."""
    total: int | None = None
    """How many packets the resource has; may come with any of them, instead of `last`."""
    metadata: msgspec.Raw = msgspec.Raw()
    """A JSON object of at most 4 KiB that belongs to the resource, in canonical form once checked; empty for none."""


class Status(StrEnum):
    """What became of a packet that was offered."""

    ACCEPTED = "accepted"  #: stored, durable
    DUPLICATE = "duplicate"  #: was there already; nothing was stored again (R5, R8)
    CONFLICT = "conflict"  #: contradicts what is there; nothing changed (R6)
    CLOSED = "closed"  #: the resource has ended and never received this index (R8)
    REFUSED = "refused"  #: a limit was met; nothing was stored; try again later (R9)
    ERROR = "error"  #: the store could not take this packet; the others of its batch were not touched


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """The answer to one packet of a batch, in the place of the packet."""

    status: Status
    """What became of it."""
    reason: str | None = None
    """In words, where it was not simply taken."""
    retry_after: float | None = None
    """Seconds, where trying again may help."""


class Bounds(msgspec.Struct, frozen=True):
    """The limits that a packet is checked against."""

    max_packets: int = 1_000_000
    """Packets in a resource; the highest index is one less (R2)."""
    max_payload: int = 1024 * 1024
    """Bytes of one payload (R3)."""


class _Loose(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """A packet of which numbers are written as floats, or optional members are null: JSON has one kind of number."""

    resource_id: str | int | float
    index: int | float
    payload: msgspec.Raw
    last: bool | None = False
    total: int | float | None = None
    metadata: msgspec.Raw = msgspec.Raw()

    def strict(self) -> Packet:
        """As a packet. Raises `Malformed` where a number is not whole."""
        return Packet(
            resource_id=self.resource_id
            if isinstance(self.resource_id, str)
            else whole(self.resource_id, "resource_id"),
            index=whole(self.index, "index"),
            payload=self.payload,
            last=bool(self.last),
            total=None if self.total is None else whole(self.total, "total"),
            metadata=self.metadata,
        )


_packet = msgspec.json.Decoder(Packet)
_packets = msgspec.json.Decoder(list[Packet])
_loose = msgspec.json.Decoder(_Loose)
_looses = msgspec.json.Decoder(list[_Loose])
_value = msgspec.json.Decoder()
_object = msgspec.json.Decoder(dict[str, Any])
_canonical = msgspec.json.Encoder(order="sorted")


def decode_packet(data: bytes, bounds: Bounds) -> Packet:
    """The packet that *data*, one JSON object, holds. Raises `Malformed`, saying what is wrong and where."""
    try:
        packet = _packet.decode(data)
    except msgspec.ValidationError as error:
        packet = _loosely(_loose, data, error).strict()  # seldom: so the usual packet costs nothing more
    except NOT_JSON as error:
        raise Malformed(in_words(error)) from None
    return check(packet, bounds)


def decode_array(data: bytes, bounds: Bounds) -> list[Packet]:
    """The packets of one JSON array. Raises `Malformed` for the whole of it, naming the first that is wrong."""
    packets: Sequence[Packet | _Loose]
    try:
        packets = _packets.decode(data)
    except msgspec.ValidationError as error:
        packets = [*_loosely(_looses, data, error)]
    except NOT_JSON as error:
        raise Malformed(in_words(error)) from None
    return [_check_at(place, packet, bounds) for place, packet in enumerate(packets)]


def decode_lines(data: bytes, bounds: Bounds) -> list[Packet | Malformed]:
    """One packet or error for each line of *data* that is not blank, in order (NDJSON).

    Whole chunks are decoded at once; a chunk with a bad line is decoded again line by line, so that the good lines
    are taken.
    """
    try:
        packets = _packet.decode_lines(data)
    except NOT_JSON:
        return list(_line_by_line(data, bounds))
    if not _one_a_line(data, len(packets)):
        return list(_line_by_line(data, bounds))
    return [_checked(packet, bounds) for packet in packets]


def check(packet: Packet, bounds: Bounds) -> Packet:
    """*packet* with its id as text and its metadata in canonical form. Raises `Malformed` (R1 to R4)."""
    payload = packet.payload
    if not 0 <= packet.index < bounds.max_packets:
        raise Malformed(f"index: {shown(packet.index)} is not between 0 and {bounds.max_packets - 1}")
    if len(payload) > bounds.max_payload:
        raise Malformed(f"payload: {len(payload)} bytes, {bounds.max_payload} at most")
    check_json(payload, "payload")
    check_id(packet.resource_id)
    if packet.total is not None:
        _check_total(packet, bounds)
    if not packet.metadata and isinstance(packet.resource_id, str):
        return packet
    metadata = _check_metadata(packet.metadata) if packet.metadata else packet.metadata
    return msgspec.structs.replace(packet, resource_id=str(packet.resource_id), metadata=metadata)


def check_id(resource_id: str | int) -> str:
    """*resource_id* as text. Raises `Malformed` (R1)."""
    try:
        text = str(resource_id)
        size = len(text.encode())
    except ValueError:  # a number of thousands of digits, or half of a surrogate pair
        raise Malformed("resource_id: not text that UTF-8 can hold") from None
    if not 1 <= size <= MAX_ID_BYTES:
        raise Malformed(f"resource_id: {size} UTF-8 bytes, 1 to {MAX_ID_BYTES} are allowed")
    if _CONTROL.search(text):
        raise Malformed("resource_id: control characters are not allowed")
    return text


def whole(number: float, name: str) -> int:
    """*number*, which may be written as ``3.0`` or ``3e0``. Raises `Malformed` for any other float (R2)."""
    if isinstance(number, float) and not (number.is_integer() and abs(number) <= _EXACT):
        raise Malformed(f"{name}: {number} is not a whole number")
    return int(number)


def check_json(value: bytes | msgspec.Raw, name: str) -> None:
    """Raise `Malformed` unless *value* is one JSON value: valid UTF-8, finite numbers, at most 128 levels (R3)."""
    try:
        _value.decode(value)
    except NOT_JSON as error:
        raise Malformed(f"{name}: {in_words(error)}") from None
    if is_too_deep(bytes(value)):
        raise Malformed(f"{name}: {TOO_DEEP}")


def is_too_deep(data: bytes) -> bool:
    """Whether *data*, which is JSON, is nested deeper than 128 levels: more than some decoder on its way can take."""
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return False
    brackets = _outside_of_texts(data).translate(_ONE_KIND, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"[]", b"")  # the innermost level of each
    return bool(brackets)


def claimed_total(packet: Packet) -> int | None:
    """The number of packets that *packet* says its resource has, if it says so (R4)."""
    return packet.index + 1 if packet.last else packet.total


def _loosely(decoder: msgspec.json.Decoder[T], data: bytes, strict: msgspec.ValidationError) -> T:
    """What *decoder* makes of *data*. Raises `Malformed`, in the words of the *strict* decoder."""
    try:
        return decoder.decode(data)
    except NOT_JSON:
        raise Malformed(in_words(strict)) from None


def _check_total(packet: Packet, bounds: Bounds) -> None:
    total = packet.total or 0
    if not 1 <= total <= bounds.max_packets:
        raise Malformed(f"total: {shown(packet.total)} is not between 1 and {bounds.max_packets}")
    if packet.last and total != packet.index + 1:
        raise Malformed(f"total: {total} disagrees with last, which says {packet.index + 1}")
    if packet.index >= total:
        raise Malformed(f"index: {packet.index} is beyond the total of {total}")


def _check_metadata(metadata: msgspec.Raw) -> msgspec.Raw:
    if bytes(metadata) == b"null":
        return msgspec.Raw()
    check_json(metadata, "metadata")
    try:
        canonical = _canonical.encode(_object.decode(metadata))
    except msgspec.ValidationError:
        raise Malformed("metadata: must be a JSON object") from None
    if len(canonical) > MAX_METADATA:
        raise Malformed(f"metadata: {len(canonical)} bytes, {MAX_METADATA} at most")
    return msgspec.Raw(canonical)


def _checked(packet: Packet, bounds: Bounds) -> Packet | Malformed:
    try:
        return check(packet, bounds)
    except Malformed as error:
        return Malformed(error.detail)  # one that was raised holds the packet, and itself, by its traceback


def _check_at(place: int, packet: Packet | _Loose, bounds: Bounds) -> Packet:
    try:
        return check(packet.strict() if isinstance(packet, _Loose) else packet, bounds)
    except Malformed as error:
        raise Malformed(f"packet {place}: {error.detail}") from None


def _one_a_line(data: bytes, packets: int) -> bool:
    """Whether each of so many *packets* stands on a line of its own, and no line is blank.

    The decoder takes any white space between values, so that two on one line, or one on two lines, would pass. In
    valid JSON ``}``, line feed, ``{`` stand together only between values.
    """
    feeds = data.count(b"\n") - data.endswith(b"\n")
    return feeds == packets - 1 == data.count(b"}\n{")


def _line_by_line(data: bytes, bounds: Bounds) -> Iterator[Packet | Malformed]:
    for line in data.split(b"\n"):
        if not line.strip():
            continue
        try:
            yield decode_packet(line, bounds)
        except Malformed as error:
            yield Malformed(error.detail)  # as in `_checked`


def _outside_of_texts(data: bytes) -> bytes:
    """What of *data*, which is JSON, stands in no text. A text holds quotes and backslashes only behind a backslash."""
    return b"".join(data.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"')[::2])


def in_words(error: Exception) -> str:
    """What was wrong, out of one of `NOT_JSON`; short, though a name that it quotes may be as long as a packet."""
    if isinstance(error, RecursionError):
        return TOO_DEEP
    if isinstance(error, UnicodeDecodeError):
        return f"not valid UTF-8 (byte {error.start})"
    return shown(str(error).replace("trailing characters", "more than one value"))
