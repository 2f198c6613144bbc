"""A long JSON array as several short ones, so that it need not be decoded in one go. Pure.

Theory. Where an element ends only the decoder knows, and it says so: the error for what follows a value names the
place. That is an error an element, 1 µs, so it is asked only where a guess was wrong: a ``}`` and a comma near the end
of a part are nearly always between two packets. A guess is right where all before it is an array by itself, as JSON is
read from left to right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from collator.errors import Malformed
from collator.json_text import HALF_A_PAIR, ends_behind_half_a_pair
from collator.packet import NOT_JSON, in_words

PART = 64 * 1024
"""Bytes of a part: checking it takes 4 ms at most. One with a longer element is longer."""

_raw = msgspec.json.Decoder(msgspec.Raw)
_TRAILING = re.compile(r"trailing characters \(byte (\d+)\)")
_EMPTY = re.compile(rb"[ \t\r\n]*+\[[ \t\r\n]*+\]")
_BYTE = re.compile(r"\(byte (\d+)\)")


def split_array(data: bytes, *, longest: int, shortest: int = 0) -> Iterator[bytes]:
    """Arrays that hold together what the array *data* holds; *data* itself, whatever it is, where it is short.

    Raises `Malformed` where *data* is not JSON, or an element has more than *longest* bytes. A part ends with the first
    element that has less than *shortest*, which is wrong in any case: so the others are not looked for.
    """
    if len(data) <= PART or _EMPTY.match(data):
        yield data
        return
    place = data.index(b"[") + 1
    while True:
        end = data.rfind(b"},", place, place + PART) + 1
        part = _array(data, place, end)
        if not end or not _is_json(part):
            end = _end_of_elements(data, place, longest, shortest)
            part = _array(data, place, end)
        yield part
        place = end + 1
        if data[end] != _COMMA:
            break
    if data[end : end + 1] != b"]":
        raise Malformed(f"JSON is malformed: expected ',' or ']' (byte {end})")
    if data[place:].strip(b" \t\r\n"):
        raise Malformed(f"JSON is malformed: more than one value (byte {place})")


def _array(data: bytes, start: int, end: int) -> bytes:
    return b"[%b]" % data[start:end]


def _is_json(data: bytes) -> bool:
    try:
        _raw.decode(data)
    except NOT_JSON:
        return False
    return True


def _end_of_elements(data: bytes, start: int, longest: int, shortest: int) -> int:
    """The end of so many elements from *start* on that they fill a part, or of all: no white space begins there."""
    view, place = memoryview(data), start
    while True:
        end = _end_of_element(view, place, longest)
        if view[end] != _COMMA or end - start >= PART or end - place < shortest:
            return end
        place = end + 1


def _end_of_element(view: memoryview, start: int, longest: int) -> int:
    window = view[start : start + longest + 1]
    try:
        _raw.decode(window)
    except NOT_JSON as error:
        words = str(error)
        if trailing := _TRAILING.search(words):
            return start + int(trailing[1]) - 1
        if "truncated" not in words:
            raise Malformed(_BYTE.sub(lambda byte: f"(byte {start + int(byte[1])})", in_words(error))) from None
    if len(window) > longest:
        raise Malformed(f"a packet may have at most {longest} bytes; the one at byte {start} is larger")
    raise Malformed(HALF_A_PAIR if ends_behind_half_a_pair(window) else "Input data was truncated")


_COMMA = ord(",")
