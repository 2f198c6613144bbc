"""Verbs as the writer sees them: how their calls are executed, taken apart and answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from collator.errors import CollatorError
from collator.ledgers.sqlite import audit
from collator.ledgers.sqlite.store import Store
from collator.messages import Act

R = TypeVar("R")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Verb(Generic[R]):
    """The execution of one verb by the writer."""

    step: Callable[[Store, Sequence[Any]], Sequence[R]]
    """From the store and the arguments of all calls to their results, inside a transaction."""
    alone: bool = False
    """Each call is a batch of its own, and its `CollatorError` is its result."""
    grows: bool = False
    """Takes new data; refused while the disk is full."""
    gives_way: bool = False
    """Each call has a commit of its own, between those of the others: nobody waits for more than one of them."""
    split: Callable[[Any], list[Any]] | None = None
    """The arguments of one call as those of several smaller calls, for finding a culprit."""
    join: Callable[[Sequence[R]], R] | None = None
    isolate: Callable[[Exception], R] | None = None
    """The result of the smallest call where it is the culprit."""
    changed: Callable[[Any, R], int] | None = None
    """How many the arguments and the result of a step say were changed, where the audit log has what the verb does."""


class Call:
    """One call of a verb, and what came of it."""

    __slots__ = ("act", "arguments", "changed", "future", "loop", "operation", "result", "size", "verb", "weight")

    def __init__(self, verb: Verb[Any], arguments: Any, size: int = 1, weight: int = 0) -> None:  # noqa: ANN401 - the verb knows
        """A call of *verb* with *size* items, which have *weight* bytes."""
        self.verb, self.arguments, self.size, self.weight = verb, arguments, size, weight
        self.operation = ""
        """The id under which it may be called again."""
        self.act: Act | None = None
        """What it is a step of."""
        self.changed: int | None = None
        """How many it changed, where the audit log has it."""
        self.result: Any = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.future: asyncio.Future[Any] | None = None


def batches(group: Sequence[Call]) -> list[list[Call]]:
    """The calls of each verb together, verbs in the order in which they first came."""
    by_verb: dict[int, list[Call]] = {}
    for call in group:
        by_verb.setdefault(id(call) if call.verb.alone else id(call.verb), []).append(call)
    return list(by_verb.values())


def halves(items: Sequence[T]) -> list[Sequence[T]]:
    """*items* in two parts: a call that fails as a whole is tried so."""
    middle = len(items) // 2
    return [items[:middle], items[middle:]]


def execute(store: Store, calls: Sequence[Call]) -> None:
    """Execute *calls*, which are of one verb, and keep the result with each."""
    verb = calls[0].verb
    try:
        results = verb.step(store, [call.arguments for call in calls])
    except CollatorError as error:
        if not verb.alone:
            raise
        results = [error]
    else:
        _record(store, calls, results)
    for call, result in zip(calls, results, strict=True):
        call.result = result


def _record(store: Store, calls: Sequence[Call], results: Sequence[Any]) -> None:
    """Add to the audit log what *calls*, which are of one verb, have changed."""
    changed = calls[0].verb.changed
    if changed is None:
        return
    for call, result in zip(calls, results, strict=True):
        if call.act is not None:
            call.changed = changed(call.arguments, result)
            audit.record(store, call.act, call.changed)


def fail_calls(calls: Sequence[Call], error: CollatorError) -> None:
    """Make *error* the result of *calls*: of each its own, as an error keeps the frames of all who raise it."""
    for call in calls:
        call.result = copy(error)
