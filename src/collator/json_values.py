"""JSON as values of Python, at a cost that hardly depends on what the numbers are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from collator.json_text import has_costly_numbers

T = TypeVar("T")

_SHORT = 64
"""Bytes, fewer than which are decoded at once: ten of the slowest numbers, a tenth of a millisecond."""


def decoder(kind: type[T] | Any = Any) -> Callable[[bytes], T]:  # noqa: ANN401 - what msgspec takes as a type
    """A function that decodes JSON as *kind*.

    The decoder's own floats are quick, but those near the largest and the smallest, of which one takes up to 10 µs
    (1e308) and a MiB 1.8 s; it holds the interpreter lock all the while, in a thread too. Where there may be such
    floats, Python makes them.
    """
    quick: Callable[[bytes], T] = msgspec.json.Decoder(kind).decode
    steady: Callable[[bytes], T] = msgspec.json.Decoder(kind, float_hook=float).decode

    def decode(data: bytes) -> T:
        return quick(data) if len(data) < _SHORT or not has_costly_numbers(data) else steady(data)

    return decode
