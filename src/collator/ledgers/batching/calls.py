"""Verbs as they are executed, many calls together, and the calls of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from copy import copy
from dataclasses import dataclass, fields
from typing import Any, Generic, TypeVar

from collator.errors import CollatorError, Unavailable, Uncertain
from collator.messages import Act

S = TypeVar("S")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a verb is, whichever store executes it."""

    alone: bool = False
    """Each call is a batch of its own, and its `CollatorError` is its result."""
    grows: bool = False
    """Takes new data; refused while the disk is full."""
    gives_way: bool = False
    """Each call has a commit of its own, between those of the others: nobody waits for more than one of them."""
    echoes: bool = False
    """A result holds no packet and no body that was not in the arguments of its call."""
    split: Callable[[Any], list[tuple[Any, int]]] | None = None
    """The arguments of one call as those of several smaller calls, and the size of each, for finding a culprit."""
    join: Callable[[Sequence[Any]], Any] | None = None
    """The result of one call from those of the smaller ones."""
    isolate: Callable[[Exception], Any] | None = None
    """The result of the smallest call where it is the culprit."""
    changed: Callable[[Any, Any], int | None] | None = None
    """How many the arguments and the result of a step say were changed, where the audit log has what the verb does;
    `None` for a step that is left to another."""

    def by(self, step: Callable[[S, Sequence[Any]], Sequence[R] | Awaitable[Sequence[R]]]) -> Verb[S, R]:
        """A verb of this kind, which *step* executes."""
        return Verb(step, **{field.name: getattr(self, field.name) for field in fields(Kind)})


@dataclass(frozen=True, slots=True)
class Verb(Kind, Generic[S, R]):
    """The execution of one verb on a store of the type S, whose calls have results of the type R."""

    step: Callable[[S, Sequence[Any]], Sequence[R] | Awaitable[Sequence[R]]]
    """From the store and the arguments of all calls to their results, inside a transaction."""


class Call:
    """One call of a verb, and what came of it."""

    __slots__ = ("act", "arguments", "changed", "future", "loop", "operation", "result", "size", "verb", "weight")

    def __init__(
        self,
        verb: Verb[Any, Any],
        arguments: Any,  # noqa: ANN401 - the verb knows
        size: int = 1,
        weight: int = 0,
        *,
        operation: str = "",
        act: Act | None = None,
    ) -> None:
        """A call of *verb* with *size* items, which have *weight* bytes."""
        self.verb, self.arguments, self.size, self.weight = verb, arguments, size, weight
        self.operation = operation
        """The id under which it may be called again."""
        self.act = act
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


def keep_results(calls: Sequence[Call], results: Sequence[Any]) -> None:
    """Keep with each of *calls*, which are of one verb, its result, and how many it changed."""
    changed = calls[0].verb.changed
    for call, result in zip(calls, results, strict=True):
        call.result = result
        if changed is not None and call.act is not None:
            call.changed = changed(call.arguments, result)


def fail_calls(calls: Sequence[Call], error: CollatorError) -> None:
    """Make *error* the result of *calls*: of each its own, as an error keeps the frames of all who raise it."""
    for call in calls:
        call.result = copy(error)


def refuse_calls(calls: Sequence[Call], error: Unavailable, *, doubted: Sequence[Call]) -> None:
    """Make *error* the result of *calls*; of those that repeat one of *doubted*, that it is uncertain."""
    operations = {call.operation for call in doubted} - {""}
    fail_calls([call for call in calls if call.operation not in operations], error)
    fail_calls([call for call in calls if call.operation in operations], Uncertain(error.detail))
