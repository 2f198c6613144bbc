"""The culprit of an error: a group that failed is committed in parts, so that only the culprit has its error.

A ledger that could not commit a group asks for its `parts_of`, commits each of them in the same way, and then lets the
group `conclude`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import structlog

from collator.errors import Broken
from collator.ledgers.batching.calls import Call

log = structlog.get_logger("collator.ledger")

T = TypeVar("T")


def parts_of(group: Sequence[Call]) -> list[Sequence[Call]]:
    """The groups to be committed in the place of *group*: its halves, or those of its only call; none: the culprit."""
    if len(group) > 1:
        return halves(group)
    (call,) = group
    if call.verb.split is None or call.size <= 1:
        return []
    return [[Call(call.verb, arguments, size)] for arguments, size in call.verb.split(call.arguments)]


def conclude(group: Sequence[Call], parts: Sequence[Sequence[Call]], error: Exception) -> None:
    """Keep the result of *group*, which failed with *error*, once its *parts* have theirs."""
    if len(group) > 1:
        return  # its parts are the same calls
    (call,), verb = group, group[0].verb
    if parts and verb.join is not None:
        results = [part.result for (part,) in parts]
        failed = next((result for result in results if isinstance(result, BaseException)), None)
        call.result = failed or verb.join(results)
    else:
        log.error("a call of the store failed", verb=verb.step.__name__, error=repr(error))
        call.result = Broken() if verb.isolate is None else verb.isolate(error)


def halves(items: Sequence[T]) -> list[Sequence[T]]:
    """*items* in two parts."""
    middle = len(items) // 2
    return [items[:middle], items[middle:]]
