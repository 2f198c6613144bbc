"""What came of calls: told to who waits, and kept for callers who ask again because an answer was lost.

Who asks again is in this process, and memory is enough: with the process, its callers end.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import count

from collator.ledgers.batching.calls import Call
from collator.messages import Delivery, Run

OPERATIONS = 1024
"""Answers that are kept."""
BYTES = 4 * 1024 * 1024
"""Bytes of what all that are kept have handed out, or the last one alone."""
ITEM = 256
"""Bytes of a packet, a delivery or an exception in an answer, beside its payload or body."""

Orphaned = Callable[[object], None]
"""Is given a result whose caller has gone."""


def answer(calls: Sequence[Call], orphaned: Orphaned) -> None:
    """Have *calls* resolved, each on the event loop on which its caller waits; from any thread."""
    for loop in {call.loop for call in calls}:
        if loop is None:
            continue
        mine = [call for call in calls if call.loop is loop]
        try:
            loop.call_soon_threadsafe(resolve, mine, orphaned)
        except RuntimeError:  # the loop is closed: nobody waits
            continue


def resolve(calls: Sequence[Call], orphaned: Orphaned) -> None:
    """Give *calls*, whose callers wait on the running loop, their results."""
    for call in calls:
        if call.act is not None and call.changed is not None and not isinstance(call.result, BaseException):
            call.act.changed += call.changed  # here, as a step that is undone and taken again changes nothing twice
            call.act.stored = True
        if call.future is None or call.future.cancelled():
            orphaned(call.result)
        elif call.future.done():
            continue  # told that it is uncertain: who asks again is given the answer
        elif isinstance(call.result, BaseException):
            call.future.set_exception(call.result)
        else:
            call.future.set_result(call.result)


def handed_out(result: object) -> list[Run | Delivery]:
    """The runs and deliveries that *result* has leased to its caller."""
    if isinstance(result, list):
        return [item for item in result if isinstance(item, Run | Delivery)]
    return [*getattr(result, "runs", ()), *getattr(result, "deliveries", ())]


def size_of(result: object) -> int:
    """The bytes that *result* has handed out, about."""
    size = 0
    for item in handed_out(result):
        if isinstance(item, Run):
            size += ITEM * len(item.payloads) + sum(map(len, item.payloads))
        else:
            size += ITEM + len(item.body or b"")
    return size


class Answers:
    """The answers of the latest operations; the oldest go first."""

    def __init__(self) -> None:
        """Start empty."""
        self._kept = OrderedDict[str, tuple[object, int]]()
        self._size = 0

    def __contains__(self, operation: str) -> bool:
        """Return whether *operation* was answered."""
        return operation in self._kept

    def get(self, operation: str) -> object:
        """Return the answer to *operation*, which was answered."""
        return self._kept[operation][0]

    def split(self, calls: Sequence[Call]) -> tuple[list[Call], list[Call]]:
        """Answer those of *calls* that were answered before; the others that come first, and those that come again."""
        first: list[Call] = []
        again: list[Call] = []
        operations: set[str] = set()
        for call in calls:
            if not call.operation:
                first.append(call)
            elif call.operation in self._kept:
                call.result = self.get(call.operation)
            elif call.operation in operations:
                again.append(call)
            else:
                operations.add(call.operation)
                first.append(call)
        return first, again

    def keep_of(self, calls: Sequence[Call]) -> None:
        """Keep the answers of *calls*. An error changed nothing, and may be another the next time."""
        for call in calls:
            if call.operation and not isinstance(call.result, BaseException):
                size = ITEM * call.size + call.weight if call.verb.echoes else size_of(call.result)
                self.keep(call.operation, call.result, size)

    def keep(self, operation: str, answer: object, size: int) -> None:
        """Keep *answer*, the first to *operation*; it has *size* bytes."""
        self._kept[operation] = answer, size
        self._size += size
        while len(self._kept) > OPERATIONS or (self._size > BYTES and len(self._kept) > 1):
            _, (_, oldest) = self._kept.popitem(last=False)
            self._size -= oldest


def operations_of_steps(operation: str) -> Iterator[str]:
    """Give the operations of the steps of a verb that takes several, so that it goes on where an answer was lost."""
    return (operation and f"{operation}/{number}" for number in count())
