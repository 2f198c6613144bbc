"""The messages of `/v1/stream`, both ways: JSON with a `type`. Pure.

What a client sends is read here, and a packet of it checked as any other (`packet`). A binary message is a payload too:
its bytes as a JSON string of base64.
"""

from __future__ import annotations

from base64 import b64encode

import msgspec

from collator import json_text
from collator.errors import CollatorError, Malformed
from collator.json_text import Steps
from collator.packet import NOT_JSON, Packet, PacketLimits, as_integer, check, check_decoded_steps, in_words
from collator.rules.repair import check_total
from collator.states import State
from collator.web.event_text import ResourceEvent
from collator.web.problems import encode, problem

_NONE = msgspec.Raw()


class StartMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="start"):
    """Packets of this resource follow."""

    resource_id: str | int
    metadata: msgspec.Raw = _NONE
    """As in a packet."""
    outcomes: bool | None = False
    """Whether what becomes of the resource is told."""
    after_seq: int | None = None
    """The `seq` behind which it is told, of who was cut off."""


class PacketMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="packet", gc=False):
    """A packet."""

    index: int | float
    payload: msgspec.Raw
    last: bool | None = False
    total: int | float | None = None


class StopMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="stop"):
    """No further packet follows."""

    total: int | float | None = None
    """How many packets the resource has; as many as the index of the next binary message, where it is not said."""


class BeginMessage(msgspec.Struct, frozen=True, tag_field="type", tag="begin"):
    """The answer to `start`."""

    resource_id: str
    next_index: int
    """The first index that was not received."""
    state: State
    """`open` too where nothing was received yet."""


class AckMessage(msgspec.Struct, frozen=True, tag_field="type", tag="ack"):
    """What is stored, so that nobody has to send it again."""

    resource_id: str
    through: int
    """Every index up to this one is stored; -1 where not even the first is."""
    packets: int
    """So many of the packets that came since `start` are decided, in the order in which they came."""


class SlowDownMessage(msgspec.Struct, frozen=True, tag_field="type", tag="slow_down"):
    """Packets that came have to wait, and nothing more is read until they are stored."""

    reason: str
    retry_after: float
    """Seconds until they are offered again."""


FromClient = StartMessage | PacketMessage | StopMessage
_decoder: msgspec.json.Decoder[FromClient] = msgspec.json.Decoder(FromClient)


def read_message(data: bytes) -> FromClient:
    """The message in *data*, which is UTF-8. Raises `Malformed`."""
    try:
        return _decoder.decode(data)
    except NOT_JSON as error:
        raise Malformed(in_words(error, data)) from None


def started_packet(message: StartMessage, packet_limits: PacketLimits) -> Packet:
    """*message* as a packet that stands for all: with its id and metadata, checked. Raises `Malformed`."""
    if message.after_seq is not None and message.after_seq < 0:
        raise Malformed("after_seq: must not be negative")
    null = msgspec.Raw(b"null")
    return check(Packet(message.resource_id, 0, null, metadata=message.metadata), packet_limits)


def packet_steps(message: PacketMessage, of: Packet, data: bytes, packet_limits: PacketLimits) -> Steps[Packet]:
    """The packet of the resource *of* that *message*, read from *data*, holds; in steps. Raises `Malformed`."""
    packet = Packet(
        of.resource_id,
        as_integer(message.index, "index"),
        message.payload,
        last=bool(message.last),
        total=None if message.total is None else as_integer(message.total, "total"),
        metadata=of.metadata,
    )
    plain = json_text.is_plain(data)
    return (yield from check_decoded_steps(packet, packet_limits, plain=plain))


def binary_packet(data: bytes, of: Packet, index: int, packet_limits: PacketLimits) -> Packet:
    """The packet *index* of the resource *of* with *data* for its payload. Raises `Malformed`."""
    if index >= packet_limits.max_packets:
        raise Malformed(f"index: {index} is not between 0 and {packet_limits.max_packets - 1}")
    return Packet(of.resource_id, index, msgspec.Raw(b'"%b"' % b64encode(data)), metadata=of.metadata)


def total_of(message: StopMessage, next_index: int, packet_limits: PacketLimits) -> int:
    """The total that *message* says; without, *next_index*. Raises `Malformed`."""
    total = next_index if message.total is None else as_integer(message.total, "total")
    check_total(total, packet_limits)
    return total


def longest_binary(packet_limits: PacketLimits) -> int:
    """The most bytes of a binary message, whose base64 is within the limit of a payload."""
    return (packet_limits.max_payload - len(b'""')) // 4 * 3


def event_message(event: ResourceEvent) -> bytes:
    """*event* as a message, with its name for a type."""
    return b'{"type":"%b",%b' % (event.name, event.data[1:])


def error_message(error: CollatorError) -> bytes:
    """*error* as a message."""
    return encode({"type": "error", "problem": problem(error)})
