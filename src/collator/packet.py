"""The packet that a sender gives, and its receipt. Rules R1 to R4 live here, and nothing that needs a store.

The payload stays the bytes that were received (R3): what a processor reads, and what a repeat is compared with, is
what the sender wrote. Everything is checked here, before the packet can share a commit with the packets of others.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import msgspec

from collator import json_text
from collator.errors import Malformed
from collator.json_text import TOO_DEEP, Steps
from collator.text import shown

MAX_ID_BYTES = 255
MAX_METADATA = 4 * 1024
MAX_INDEX = 2**24 - 1
"""Whatever `PacketLimits.max_packets` says; a store may rely on it."""

NOT_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What the decoder raises: it looks at the UTF-8 of a text when it makes one, and not before."""

_NULL = msgspec.Raw(b"null")
_EXACT = 2**53  # beyond it, not every whole number is a float
_HALF = re.compile(
    "JSON is malformed: (?:unexpected end of escaped utf-16 surrogate pair|invalid utf-16 surrogate pair|"
    "unexpected end of hex escape)"
)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


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
    """The status of a packet that was offered."""

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


ACCEPTED = Receipt(Status.ACCEPTED)
DUPLICATE = Receipt(Status.DUPLICATE)


class PacketLimits(msgspec.Struct, frozen=True):
    """The limits that a packet is checked against."""

    max_packets: int = 1_000_000
    """Packets in a resource; the highest index is one less (R2)."""
    max_payload: int = 1024 * 1024
    """Bytes of one payload (R3)."""


_raw = msgspec.json.Decoder(msgspec.Raw)
_object = msgspec.json.Decoder(dict[str, Any], float_hook=float)  # its own floats cost up to ten times as much
_canonical = msgspec.json.Encoder(order="sorted")


def check(packet: Packet, packet_limits: PacketLimits) -> Packet:
    """*packet* with its id as text and its metadata in canonical form. Raises `Malformed` (R1 to R4)."""
    check_grammar(packet.payload, "payload")
    if packet.metadata:
        check_grammar(packet.metadata, "metadata")
    return check_decoded(packet, packet_limits, plain=False)


def check_steps(packet: Packet, packet_limits: PacketLimits) -> Steps[Packet]:
    """As `check`, in steps of a few milliseconds, however large the payload is."""
    check_grammar(packet.payload, "payload")
    if packet.metadata:
        check_grammar(packet.metadata, "metadata")
    yield ()
    return (yield from check_decoded_steps(packet, packet_limits, plain=False))


def check_decoded_steps(packet: Packet, packet_limits: PacketLimits, *, plain: bool) -> Steps[Packet]:
    """As `check_decoded`, in steps of a few milliseconds, however large the payload is."""
    found = yield from json_text.fault_steps(bytes(packet.payload), plain=plain)
    yield ()
    return check_decoded(packet, packet_limits, plain=plain, fault=lambda _: found)


def check_decoded(
    packet: Packet, packet_limits: PacketLimits, *, plain: bool, fault: Callable[[bytes], str | None] | None = None
) -> Packet:
    """As `check`, of a packet whose JSON keeps the grammar; *plain*: it is known to be UTF-8 with finite numbers.

    *fault* says what is wrong with the payload, where that has been looked for.
    """
    payload = packet.payload
    if not 0 <= packet.index < packet_limits.max_packets:
        raise Malformed(f"index: {_number(packet.index)} is not between 0 and {packet_limits.max_packets - 1}")
    if len(payload) > packet_limits.max_payload:
        raise Malformed(f"payload: {len(payload)} bytes, more than {packet_limits.max_payload} (max_payload)")
    if fault is not None or not plain:
        _check_text(payload, "payload", fault or json_text.fault)
    elif len(payload) > 2 * json_text.MAX_DEPTH and json_text.is_too_deep(bytes(payload)):
        raise Malformed(f"payload: {TOO_DEEP}")
    check_id(packet.resource_id)
    if packet.total is not None:
        _check_total(packet, packet_limits)
    if not packet.metadata and isinstance(packet.resource_id, str):
        return packet
    metadata = _check_metadata(packet.metadata) if packet.metadata else packet.metadata
    return msgspec.structs.replace(packet, resource_id=str(packet.resource_id), metadata=metadata)


def check_id(resource_id: str | int) -> str:
    """*resource_id* as text. Raises `Malformed` (R1)."""
    if (
        isinstance(resource_id, str)
        and resource_id.isascii()
        and 1 <= len(resource_id) <= MAX_ID_BYTES
        and resource_id.isprintable()
    ):
        return resource_id  # as nearly always: the rest costs three times as much
    try:
        text = str(resource_id)
        size = len(text.encode())
    except ValueError:  # a number of thousands of digits, or half of a surrogate pair
        raise Malformed("resource_id: not valid Unicode text (it contains a lone surrogate)") from None
    if not 1 <= size <= MAX_ID_BYTES:
        raise Malformed(f"resource_id: {size} UTF-8 bytes; it must have 1 to {MAX_ID_BYTES}")
    if _CONTROL.search(text):
        raise Malformed("resource_id: control characters are not allowed")
    return text


def is_integer(number: float) -> bool:
    """Return whether *number* is the integer that was meant, and no other is the same float."""
    return number.is_integer() and abs(number) <= _EXACT


def as_integer(number: float, name: str) -> int:
    """*number*, which may be written as ``3.0`` or ``3e0``. Raises `Malformed` for any other float (R2)."""
    if isinstance(number, float) and not is_integer(number):
        raise Malformed(f"{name}: {number} is not a whole number")
    return int(number)


def check_json(value: bytes | msgspec.Raw, name: str) -> None:
    """Raise `Malformed` unless *value* is one JSON value: valid UTF-8, finite numbers, at most 128 levels (R3)."""
    check_grammar(value, name)
    _check_text(value, name)


def check_grammar(value: bytes | msgspec.Raw, name: str) -> None:
    """Raise `Malformed` unless *value* keeps the grammar of one JSON value."""
    try:
        _raw.decode(value)
    except NOT_JSON as error:
        raise Malformed(f"{name}: {in_words(error, bytes(value))}") from None


def in_words(error: Exception, data: bytes | memoryview = b"") -> str:
    """Put one of `NOT_JSON`, raised for *data*, into words; short, though a name that it quotes may be a megabyte."""
    if isinstance(error, RecursionError):
        return TOO_DEEP
    if isinstance(error, UnicodeDecodeError):
        return f"not valid UTF-8 (byte {error.start})"
    words = _HALF.sub(json_text.HALF_A_PAIR, str(error)).replace("trailing characters", "more than one value")
    if "truncated" in words and json_text.ends_behind_half_a_pair(data):
        return json_text.HALF_A_PAIR
    return shown(words)


def claimed_total(packet: Packet) -> int | None:
    """The number of packets that *packet* says its resource has, if it says so (R4)."""
    return packet.index + 1 if packet.last else packet.total


def _check_text(value: bytes | msgspec.Raw, name: str, fault: Callable[[bytes], str | None] = json_text.fault) -> None:
    found = fault(bytes(value))
    if found:
        raise Malformed(f"{name}: {found}")


def _number(number: int) -> int | str:
    """*number* in a message: most are short, and one that is not is cut."""
    return number if -_EXACT < number < _EXACT else shown(number)


def _check_total(packet: Packet, packet_limits: PacketLimits) -> None:
    total = packet.total or 0
    if not 1 <= total <= packet_limits.max_packets:
        raise Malformed(f"total: {_number(packet.total or 0)} is not between 1 and {packet_limits.max_packets}")
    if packet.last and total != packet.index + 1:
        raise Malformed(f"total: {total} contradicts last, by which it is {packet.index + 1}")
    if packet.index >= total:
        raise Malformed(f"index: {packet.index} is beyond the total {total}")


def _check_metadata(metadata: msgspec.Raw) -> msgspec.Raw:
    if metadata == _NULL:
        return msgspec.Raw()
    written = bytes(metadata)
    size = len(written.translate(None, b" \t\r\n")) - 5 * written.count(rb"\u")
    if size > 2 * MAX_METADATA:  # in canonical form it cannot be half as long, but by numbers or names that say nothing
        raise Malformed(f"metadata: {size} bytes, more than {MAX_METADATA}")
    _check_text(metadata, "metadata")
    try:
        canonical = _canonical.encode(_object.decode(metadata))
    except msgspec.ValidationError:
        raise Malformed("metadata: must be a JSON object") from None
    if len(canonical) > MAX_METADATA:
        raise Malformed(f"metadata: {len(canonical)} bytes, more than {MAX_METADATA}")
    return msgspec.Raw(canonical)
