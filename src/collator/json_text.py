"""JSON as text: whether it may be passed on (R3), found without making its values. Pure.

Theory. The decoder looks at the grammar of JSON that stays as it is (`msgspec.Raw`) in 1 to 5 ms a MiB. It looks
neither at UTF-8 within texts, nor at how large numbers are, nor at how deep they stand; making the values to find out
takes up to 870 ms a MiB, and counting levels byte by byte 50. So each is looked for by what it looks like in bytes: the
text that has nothing of the kind, nearly all there is, costs 2 ms a MiB, and the worst 50.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable
from itertools import accumulate
from math import isinf
from operator import add
from typing import TypeVar

T = TypeVar("T")
Steps = Generator[tuple[()], None, T]
"""A piece of work in steps of a few milliseconds, each of which gives nothing; what it returns."""

AT_ONCE = 64 * 1024
"""Bytes that are checked in one go, in 4 ms at most; what has more is checked in steps."""
MAX_DEPTH = 128
TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"
MAX_DIGITS = 4_300
"""Digits of an integer, its sign among them: more are read by few, and not by the decoder here."""

HALF_A_PAIR = "half of a surrogate pair, which UTF-8 cannot encode"
_HALF_AT_END = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}[^\\]{0,5}\Z")

_DIGITS_AS_ZEROS = bytes.maketrans(b"123456789E", b"000000000e")
_LARGE_EXPONENT, _SMALL_EXPONENT, _MANY_DIGITS = b"e000", b"e-000", b"0" * 200
"""A number without either, signs aside, is less than 10 ** 300."""
_E, _CAPITAL_E = b"eE"  # as integers: `in` takes ten times as long for bytes
_NOT_IN_NUMBERS = bytes(set(range(256)) - set(b"0123456789.eE+-,\n"))
_LARGE = re.compile(
    rb"(?<![0-9.eE+-])-?+"  # where a number begins
    rb"(?:[0-9]++(?:\.[0-9]++)?+[eE]\+?+[0-9]{3,}+"
    rb"|[0-9]{200,}+(?:\.[0-9]++)?+(?:[eE][+-]?+[0-9]++)?+)"
)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_NO_BRACKETS_OR_QUOTES = bytes(set(_NO_BRACKETS) - set(b'"'))
_AS_BITS = bytes.maketrans(b"[]{}", b"1010")
BRACKETS_AT_ONCE = 16 * 1024
"""Bytes of eight brackets each that are looked at in one step: a millisecond."""


def fault(data: bytes) -> str | None:
    """The fault in *data*, JSON whose grammar is right, in words; `None` where there is none."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return f"not valid UTF-8 (byte {error.start})"
    if is_too_deep(data):
        return TOO_DEEP
    return _fault_of_numbers(data) if _has_large_numbers(data) else None


def fault_steps(data: bytes, *, plain: bool) -> Steps[str | None]:
    """As `fault`, in steps of a few milliseconds for a MiB; *plain*: as `is_plain`, which is known."""
    if not plain:
        try:
            data.decode()
        except UnicodeDecodeError as error:
            return f"not valid UTF-8 (byte {error.start})"
    if _may_be_deep(data) and (yield from is_too_deep_steps(data)):
        return TOO_DEEP
    yield ()
    if plain or not _has_large_numbers(data):
        return None
    yield ()
    return (yield from _fault_of_numbers_steps(data))


def ends_behind_half_a_pair(data: bytes | memoryview) -> bool:
    """Return whether so little of *data* is behind half of a surrogate pair that the decoder misses the other half."""
    return _HALF_AT_END.search(bytes(data[-12:])) is not None


def is_plain(data: bytes) -> bool:
    """Return whether *data*, whatever it is, is UTF-8 and has nothing that looks like a number that is too large."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return not _has_large_numbers(data)


def are_sound(data: bytes) -> bool:
    """Return whether *data*, JSON values on a line each, or one, is UTF-8 and has finite numbers."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return not _has_large_numbers(data) or _fault_of_numbers(data) is None


def has_costly_numbers(data: bytes) -> bool:
    """Return whether a number in *data* may be so small, large or long that the decoder takes long for its float."""
    shape = data.translate(_DIGITS_AS_ZEROS, b"+")
    return _LARGE_EXPONENT in shape or _SMALL_EXPONENT in shape or _MANY_DIGITS in shape


def is_too_deep(data: bytes) -> bool:
    """Return whether *data*, which is JSON, is nested deeper than 128 levels: more than some decoders can take."""
    return _may_be_deep(data) and finish(is_too_deep_steps(data))


def is_too_deep_steps(data: bytes) -> Steps[bool]:
    """As `is_too_deep`, of what may be, in steps of a few milliseconds for a MiB."""
    bare = _without_escapes(data).translate(None, _NO_BRACKETS_OR_QUOTES).replace(b'""', b"")
    yield ()
    brackets = _outside_of_texts(bare).translate(_AS_BITS, _NO_BRACKETS)
    yield ()
    # Eight brackets are looked at together, as the bits of a byte.
    size = -(-len(brackets) // 8)
    packed = int(brackets.ljust(8 * size, b"0") or b"0", 2).to_bytes(size)
    level = 0
    for start in range(0, size, BRACKETS_AT_ONCE):
        yield ()
        some = packed[start : start + BRACKETS_AT_ONCE]
        opened = memoryview(some.translate(_RISES)).cast("b")
        if max(map(add, accumulate(opened, initial=level), some.translate(_PEAKS))) > MAX_DEPTH:
            return True
        level += sum(opened)
    return False


def finish(steps: Steps[T]) -> T:
    """Run *steps* to their end at once, and return their result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


def _may_be_deep(data: bytes) -> bool:
    """Return whether *data* has so many brackets that some may stand too deep."""
    return len(data) > 2 * MAX_DEPTH and data.count(b"[") + data.count(b"{") > MAX_DEPTH


def _has_large_numbers(data: bytes) -> bool:
    """Return whether a number of *data* may be too large, or a text looks like one."""
    if len(data) < len(_MANY_DIGITS) and _E not in data and _CAPITAL_E not in data:
        return False  # as for most outputs: a tenth of the time of a closer look
    shape = data.translate(_DIGITS_AS_ZEROS, b"+")
    return _LARGE_EXPONENT in shape or _MANY_DIGITS in shape


def _fault_of_numbers(data: bytes) -> str | None:
    """As its steps, which make it half as dear again for what is short."""
    if len(data) > AT_ONCE:
        return finish(_fault_of_numbers_steps(data))
    return _first_fault(_LARGE.findall(_outside_of_texts(_without_escapes(data)).translate(None, _NOT_IN_NUMBERS)))


def _fault_of_numbers_steps(data: bytes) -> Steps[str | None]:
    bare, inside, outside = _without_escapes(data), 0, list[bytes]()
    for start in range(0, len(bare), AT_ONCE):
        yield ()
        texts = bare[start : start + AT_ONCE].split(b'"')
        outside.append(b"".join(texts[inside::2]))
        inside = (inside + len(texts) - 1) % 2
    numbers = b"".join(outside).translate(None, _NOT_IN_NUMBERS)  # still apart
    start = 0
    while start < len(numbers):
        yield ()
        end = numbers.find(b",", start + AT_ONCE)
        end = len(numbers) if end < 0 else end
        if found := _first_fault(_LARGE.findall(numbers, start, end)):
            return found
        start = end
    return None


def _first_fault(numbers: Iterable[bytes]) -> str | None:
    for number in dict.fromkeys(numbers):
        if number.lstrip(b"-").isdigit():
            if len(number) > MAX_DIGITS:
                return "Integer value out of range"
        elif isinf(float(number)):
            return "Number out of range"
    return None


def _without_escapes(data: bytes) -> bytes:
    """*data*, which is JSON, with no quote but those around its texts."""
    return data.replace(rb"\\", b"").replace(rb"\"", b"")


def _outside_of_texts(data: bytes) -> bytes:
    """The parts of *data*, JSON `_without_escapes`, that are in no text."""
    return b"".join(data.split(b'"')[::2])


def _table(measure: Iterable[int]) -> bytes:
    return bytes(number & 0xFF for number in measure)


def _levels(byte: int) -> list[int]:
    """The number of open brackets behind each bit of *byte*, the first one first; 1 opens and 0 closes one."""
    return [*accumulate(1 if byte >> place & 1 else -1 for place in range(7, -1, -1))]


_RISES = _table(_levels(byte)[-1] for byte in range(256))
_PEAKS = _table(max(0, *_levels(byte)) for byte in range(256))
