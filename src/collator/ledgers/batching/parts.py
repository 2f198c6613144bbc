"""Calls that are taken apart to find the culprit of an error, and put together again; what the culprit is answered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, groupby
from operator import attrgetter
from typing import Any, TypeVar

from collator.ledgers.batching.culprits import halves
from collator.messages import Accepted, Group, Recorded, StepResult, results_of
from collator.packet import Receipt, Status

T = TypeVar("T")

_resource = attrgetter("resource_id")


def halve_groups(arguments: tuple[Sequence[Group], int]) -> list[tuple[tuple[Sequence[Group], int], int]]:
    """The groups of a call in two parts of as many packets, which hand nothing out, and the size of each."""
    packets = [packet for group in arguments[0] for packet in group]
    return [(([[*group] for _, group in groupby(half, _resource)], 0), len(half)) for half in halves(packets)]


def halve_results(arguments: tuple[Sequence[Any], Any]) -> list[tuple[Any, int]]:
    """The results of a call in two parts, which hand nothing out, and the size of each."""
    return [((half, {}), len(half)) for half in halves(results_of(arguments[0]))]


def halve_items(items: Sequence[Any]) -> list[tuple[Any, int]]:
    """*items* in two parts, and the size of each."""
    return [(half, len(half)) for half in halves(items)]


def join_accepted(parts: Sequence[Accepted]) -> Accepted:
    """The answers to the parts of one call as one answer."""
    starts = accumulate([0, *(part.size for part in parts)])
    return Accepted(
        sum([part.size for part in parts]),
        [(start + at, receipt) for start, part in zip(starts, parts, strict=False) for at, receipt in part.exceptions],
        [run for part in parts for run in part.runs],
        sum([part.waiting for part in parts]),
        frozenset().union(*(part.endpoints for part in parts)),
    )


def join_recorded(parts: Sequence[StepResult]) -> StepResult:
    """The answers to the parts of one call as one answer."""
    return StepResult(
        [status for part in parts for status in part.statuses],
        [delivery for part in parts for delivery in part.deliveries],
        frozenset().union(*(part.endpoints for part in parts)),
        sum(part.closed for part in parts),
        failed=next((part.failed for part in parts if part.failed), None),
    )


def join_lists(parts: Iterable[Sequence[T]]) -> list[T]:
    """The answers to the parts of one call as one answer."""
    return [item for part in parts for item in part]


def refuse_packet(error: Exception) -> Accepted:
    """The answer for the one packet that the store could not take."""
    refused = Receipt(Status.ERROR, f"the packet could not be stored: {error}")
    return Accepted(1, [(0, refused)], [], 0, frozenset())


def refuse_result(error: Exception) -> StepResult:
    """The answer for the one result that the store could not take."""
    del error  # the caller's log has it; the packet will be handed out again when its lease ends
    return StepResult([Recorded.ERROR], [], frozenset())


def refuse_attempt(error: Exception) -> list[bool]:
    """The answer for the one attempt that the store could not take."""
    del error  # the log has it; the delivery is due again when its lease ends
    return [False]
