"""Batches with damaged rows: those that can be read go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import apsw
import structlog

R = TypeVar("R")

log = structlog.get_logger("collator.ledger")


def readable(load: Callable[[Sequence[int]], list[R]], keys: Sequence[int]) -> list[R]:
    """Load the rows of *keys*; those that cannot be read are logged and left out."""
    try:
        return load(keys)
    except (ValueError, apsw.SQLError) as error:
        words = repr(error)
    if len(keys) == 1:
        log.error("damaged row skipped; run collator check", key=keys[0], error=words)
        return []
    middle = len(keys) // 2
    return readable(load, keys[:middle]) + readable(load, keys[middle:])
