"""Packets as they come over the wire: one, an array, lines. This is the one module that decodes them.

A packet is decoded once, in the same call as those that came with it, and checked by `packet`.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple, TypeVar

import msgspec

from collator import json_text
from collator.errors import Malformed
from collator.json_array import PART, split_array
from collator.json_text import Steps
from collator.loose_packet import LOOSE, LOOSES, decode_loosely, may_be_loose
from collator.packet import NOT_JSON, Packet, PacketLimits, check_decoded, check_decoded_steps, in_words

T = TypeVar("T")

SLACK = 32 * 1024
"""Bytes of a packet beyond its payload: names, an escaped id, metadata, white space."""

DECODED = 200
"""Bytes of memory that a packet takes beside its payload, decoded: 206 were measured."""
_SHORTEST = len(b'{"resource_id":1,"index":0,"payload":1}')
_LONG_ENOUGH = re.compile(rb"(?m)^[^\n]{%d,}" % _SHORTEST)
_SPACE = b" \t\r\v\f"
_LINES = bytes(byte if byte == ord("\n") else ord("x") for byte in range(256))
_PLACE = re.compile(r"(at `\$\[)(\d+)(\][^`]*`)$")


_MARKED = "a byte order mark begins this line, as in joined files; only the first line may have one"
_packet = msgspec.json.Decoder(Packet)
_packets = msgspec.json.Decoder(list[Packet])


class Lines(NamedTuple):
    """The packets of some lines."""

    packets: list[Packet]
    places: Sequence[int]
    """The line of each packet, from 0."""
    malformed: int
    """How many lines hold no packet; blank ones hold nothing."""


def longest_packet(packet_limits: PacketLimits) -> int:
    """The most bytes that a packet may have, as it is written."""
    return packet_limits.max_payload + SLACK


def decode_packet(data: bytes, packet_limits: PacketLimits) -> Packet:
    """The packet that *data*, one JSON object, holds. Raises `Malformed`, saying what is wrong and where."""
    return check_decoded(_decode(data), packet_limits, plain=json_text.is_plain(data))


def decode_packet_steps(data: bytes, packet_limits: PacketLimits) -> Steps[Packet]:
    """As `decode_packet`, in steps of a few milliseconds."""
    packet = _decode(data)
    yield ()
    plain = json_text.is_plain(data)
    yield ()
    return (yield from check_decoded_steps(packet, packet_limits, plain=plain))


def decode_array(data: bytes, packet_limits: PacketLimits) -> list[Packet]:
    """The packets of one JSON array. Raises `Malformed` for the whole of it, naming the first that is wrong."""
    return [packet for part in array_parts(data, packet_limits) for packet in part]


def array_parts(data: bytes, packet_limits: PacketLimits, *, plain: bool = False) -> Iterator[Sequence[Packet]]:
    """As `decode_array`, part by part, so that a caller can do something else in between; also parts without packets.

    Where *data* is *plain* in any case, as it was checked before, that is not looked at again.
    """
    first = 0
    for part in split_array(data, longest=longest_packet(packet_limits), shortest=_SHORTEST):
        if len(part) > 2 * PART:  # for one long packet
            yield ()
            packets = yield from _decode_array_steps(part, packet_limits, first, plain=plain)
        else:
            check = partial(check_decoded, packet_limits=packet_limits, plain=plain or json_text.are_sound(part))
            packets = _each(check, _decode_unchecked(part, first), first)
        first += len(packets)
        yield packets


def decoded_size(packets: Sequence[Packet]) -> int:
    """Bytes of memory that *packets* take, about."""
    return DECODED * len(packets) + sum([len(packet.payload) for packet in packets])


def decode_lines(data: bytes, packet_limits: PacketLimits) -> Lines:
    """Decode the lines of *data* (NDJSON).

    Whole chunks are decoded at once; a chunk with a bad line is decoded again line by line, so that the good lines
    are taken.
    """
    packets, loose = _decode_lines(data)
    if packets == []:
        return Lines([], [], 0)  # all of it is white space
    if packets and _one_a_line(data, len(packets)):
        alone = len(packets) == 1
        plain = json_text.is_plain(data) if alone else json_text.are_sound(data)
        if plain or alone:
            with suppress(Malformed):
                return Lines(
                    [check_decoded(one, packet_limits, plain=plain) for one in packets], range(len(packets)), 0
                )
        if alone:  # to find out once more what is wrong with a line of a MiB would be felt
            return Lines([], [], 1)
    return _line_by_line(data, packet_limits, loose=loose)


def decode_line_steps(data: bytes, packet_limits: PacketLimits) -> Steps[Lines]:
    """As `decode_lines` of one line, which is not blank, in steps of a few milliseconds."""
    packets, _ = _decode_lines(data)
    yield ()
    if packets is None or len(packets) != 1:
        return Lines([], [], 1)
    plain = json_text.is_plain(data)
    yield ()
    try:
        return Lines([(yield from check_decoded_steps(packets[0], packet_limits, plain=plain))], [0], 0)
    except Malformed:
        return Lines([], [], 1)


def explain_lines(data: bytes, taken: Collection[int], packet_limits: PacketLimits) -> Iterator[tuple[int, Malformed]]:
    """The lines of *data* that hold no packet, by place, and why: those that are neither *taken* nor blank."""
    for place, line in enumerate(data.split(b"\n")):
        if place not in taken and line.strip():
            yield place, Malformed(_MARKED) if line.startswith(BOM_UTF8) else _fault(line, packet_limits)


def _decode_array_steps(data: bytes, packet_limits: PacketLimits, first: int, *, plain: bool) -> Steps[list[Packet]]:
    """As `_decode_array`, in steps of a few milliseconds, which give nothing."""
    packets = _decode_unchecked(data, first)
    yield ()
    plain = plain or json_text.is_plain(data)
    yield ()
    made: list[Packet] = []
    try:
        for packet in packets:
            made += [(yield from check_decoded_steps(packet, packet_limits, plain=plain))]
    except Malformed as error:
        raise Malformed(f"packet {first + len(made)}: {error.detail}") from None
    return made


def _decode_unchecked(data: bytes, first: int) -> list[Packet]:
    """The packets of an array as `_decode_array` has it, unchecked. Raises `Malformed`."""
    try:
        return _packets.decode(data)
    except msgspec.ValidationError as error:
        words = _PLACE.sub(lambda place: f"{place[1]}{int(place[2]) + first}{place[3]}", in_words(error))
        looses = decode_loosely(LOOSES, data, words)
        return _each(lambda loose: loose.strict(words), looses, first)
    except NOT_JSON as error:
        raise Malformed(in_words(error, data)) from None


def _each(make: Callable[[T], Packet], items: Sequence[T], first: int) -> list[Packet]:
    """Make a packet of each of *items* by *make*.

    Raises its `Malformed` with the place of the item, from *first* on.
    """
    made: list[Packet] = []
    try:
        for item in items:
            made.append(make(item))  # noqa: PERF401 - how many there are names the one that is wrong
    except Malformed as error:
        raise Malformed(f"packet {first + len(made)}: {error.detail}") from None
    return made


def _decode(data: bytes) -> Packet:
    """The packet that *data* holds, unchecked. Raises `Malformed`."""
    try:
        return _packet.decode(data)
    except msgspec.ValidationError as error:
        words = in_words(error)
        return decode_loosely(LOOSE, data, words).strict(words)  # seldom: so the usual packet costs nothing more
    except NOT_JSON as error:
        raise Malformed(in_words(error, data)) from None


def _decode_lines(data: bytes) -> tuple[list[Packet] | None, bool]:
    """The packets of *data*, unchecked, where it has nothing else; and whether some may be as `_Loose` has them."""
    try:
        return _packet.decode_lines(data), False
    except msgspec.ValidationError as error:
        if not may_be_loose(str(error)):
            return None, False
    except NOT_JSON:
        return None, False
    try:
        return [one.strict("") for one in LOOSE.decode_lines(data)], True
    except (*NOT_JSON, Malformed):
        return None, True


def _one_a_line(data: bytes, packets: int) -> bool:
    """Return whether each of so many *packets* stands on a line of its own, and no line is blank.

    The decoder takes any white space between values, so that two on one line, or one on two lines, would pass. In
    valid JSON ``}``, line feed, ``{`` stand together only between values.
    """
    feeds = data.count(b"\n") - data.endswith(b"\n")
    return feeds == packets - 1 == data.count(b"}\n{")


def _line_by_line(data: bytes, packet_limits: PacketLimits, *, loose: bool = False) -> Lines:
    """As `decode_lines`. A line that is too short for a packet is not looked at: there may be 500,000 in a MiB."""
    packets: list[Packet] = []
    places: list[int] = []
    place = start = 0
    decode = _decode_line_loosely if loose or json_text.has_costly_numbers(data) else _packet.decode
    plain = json_text.is_plain(data)
    for line in _LONG_ENOUGH.finditer(data):
        place += data.count(b"\n", start, line.start())
        start = line.start()
        packet = _packet_or_none(line[0], decode, packet_limits, plain=plain)
        if packet is not None:
            packets.append(packet)
            places.append(place)
    shape = data.translate(_LINES, _SPACE)
    return Lines(packets, places, shape.count(b"\nx") + shape.startswith(b"x") - len(packets))


def _packet_or_none(
    line: bytes, decode: Callable[[bytes], Packet], packet_limits: PacketLimits, *, plain: bool
) -> Packet | None:
    """The packet that *line* holds, by *decode* where it is as packets nearly always are. Words are made for none."""
    try:
        return check_decoded(decode(line), packet_limits, plain=plain)
    except msgspec.ValidationError as error:
        if not may_be_loose(str(error)):
            return None
    except (*NOT_JSON, Malformed):
        return None
    try:
        return decode_packet(line, packet_limits)
    except Malformed:
        return None


def _decode_line_loosely(line: bytes) -> Packet:
    """As the strict decoder, which would make floats that take it 6 us each, before it says that none is wanted."""
    return LOOSE.decode(line).strict("")


def _fault(line: bytes, packet_limits: PacketLimits) -> Malformed:
    """The error for *line*, which holds no packet.

    The error that was raised would hold the line, and itself, by its traceback.
    """
    try:
        decode_packet(line, packet_limits)
    except Malformed as error:
        return Malformed(error.detail)
    raise AssertionError(line)  # it was not taken
