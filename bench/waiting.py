"""Processors that wait, as for another service."""

from __future__ import annotations

import time

from collator.processor import word_lengths

CALLS = 64
"""At a time."""
SECONDS = {"tenth": 0.1, "hundredth": 0.01}
"""That a call takes."""


def tenth(payload: str) -> list[int]:
    """Take 100 ms."""
    time.sleep(0.1)
    return word_lengths(payload)


def hundredth(payload: str) -> list[int]:
    """Take 10 ms."""
    time.sleep(0.01)
    return word_lengths(payload)
