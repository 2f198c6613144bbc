"""From what the user's code returned to JSON.

Theory. The value may be anything, of any size, and encoding holds the interpreter lock all the while: a second for
100 MB of numbers, in which no other thread moves. So a value is weighed first, in steps that let others in between,
and what cannot fit is never encoded.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from collator import json_text
from collator.errors import ProcessorFailed
from collator.infinity import refuse_infinite
from collator.json_text import TOO_DEEP

_check_grammar = msgspec.json.Decoder(msgspec.Raw).decode
_decode = msgspec.json.Decoder(float_hook=float).decode  # its own floats cost up to ten times as much
_encode = msgspec.json.Encoder().encode
_LIGHT = frozenset({int, float, bool, type(None)})
_TEXT = frozenset({str, bytes, bytearray})
_ARRAY = frozenset({list, tuple})
_SHORT = 200
"""Bytes, fewer than which nothing is nested too deep and no number is too large."""


OUTPUT = "output: "
"""How a reason begins that is about an output."""


class Unusable(ProcessorFailed):
    """The output cannot be used."""

    def __init__(self, problem: str) -> None:
        """Say what the *problem* is."""
        super().__init__(OUTPUT + problem)


def to_json(value: object, limit: int) -> bytes:
    """*value* as JSON of at most *limit* bytes: what msgspec encodes, so dates, dataclasses and the like too.

    Raises `ProcessorFailed`. Refused too is what is nested deeper than a payload may be (R3), which not every receiver
    could read, and what would be JSON only by losing or breaking something: not-a-number and infinity, which msgspec
    writes as ``null``, and ready-made JSON that is none. Where there is a ``null``, the output is read back, and the
    value is looked through where that gives something else.
    """
    try:
        odd = _looks_odd(value, limit)
        output = _encode(value)
        if len(output) > limit:
            raise Unusable(f"{len(output)} bytes, more than {limit} (max_output)")
        flat = type(value) is list and len(output) < _SHORT and _LIGHT.issuperset(map(type, value))
        if (odd and not flat) or len(output) >= _SHORT:
            _check(output, ready_made=odd)
        if output.find(b"null") >= 0 and type(value) is not msgspec.Raw and _decode(output) != value:
            refuse_infinite(value, output)
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError, OverflowError) as error:
        raise Unusable(_words(error)) from None
    return output


def _check(output: bytes, *, ready_made: bool) -> None:
    """Raise unless *output* may be sent; where some of it may be *ready_made*, that is not checked yet."""
    if ready_made:
        _check_grammar(output)
        fault = json_text.fault(output)
    else:
        fault = TOO_DEEP if json_text.is_too_deep(output) else None
    if fault:
        raise Unusable(fault)


def _looks_odd(value: object, limit: int) -> bool:
    """Return whether *value* may have other types than JSON's own. Raises where it is too large by far.

    An array that begins with a number is taken for one of numbers: looking at its JSON costs less than at each.
    """
    if type(value) is list and value and type(value[0]) in _LIGHT and 2 * len(value) <= limit:
        return True
    odd: list[object] = []
    _weigh((value,), limit, odd)
    return bool(odd)


def _weigh(items: Iterable[Any], left: int, odd: list[object]) -> int:
    """The rest of *left* bytes once *items* are written, at best; what is not of JSON's own types goes to *odd*."""
    for item in items:
        kind = type(item)
        if kind in _LIGHT:
            continue
        if kind in _TEXT:
            left -= len(item)
        elif kind in _ARRAY:
            left = _weigh(item, _less(left, 2 * len(item)), odd)
        elif kind is dict:
            left = _weigh(item.values(), _less(left, 4 * len(item)), odd)
        else:
            odd.append(item)
        _less(left, 0)
    return left


def _less(left: int, size: int) -> int:
    if size > left + 2:  # an empty array has no comma
        raise Unusable("much larger than max_output")
    return left - size


def _words(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return TOO_DEEP
    if isinstance(error, UnicodeError):
        return "text with half of a surrogate pair, which UTF-8 cannot encode"
    return f"not JSON: {error}"
