"""The size of an answer: a list is cut at a number of bytes, whatever number of items was asked for. Pure."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TypeVar

import msgspec

PAGE = 192 * 1024
"""Bytes of the items of a page; what stands around them leaves it below 256 KiB."""

UNBOUNDED = sys.maxsize
"""A size that nothing has."""

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode


def fitting(items: Sequence[T], size: int = PAGE) -> Sequence[T]:
    """The first of *items* that have up to *size* bytes together as JSON; one at least, where there is any."""
    left = size
    for place, item in enumerate(items):
        left -= len(_encode(item)) + 1
        if left < 0:
            return items[: max(place, 1)]
    return items
