"""The summary of a stream, counted as its groups are decided. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from operator import itemgetter
from typing import Any

import msgspec

from collator.errors import CollatorError
from collator.intake import tally
from collator.packet import Receipt, Status
from collator.web.batch_status import GOOD, BatchStatus
from collator.web.lines import LineGroup
from collator.web.problems import HttpProblem, encode, problem
from collator.web.receipts import receipt_problem


class RejectedLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line that was not taken."""

    line: int
    """From 1; blank lines count."""
    problem: dict[str, Any]
    """RFC 9457."""
    lines: int = 1
    """How many lines from this one on hold no packet, where they are told of together."""


class StreamSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The summary of a stream."""

    done: bool = True
    """That this is the last word on it."""
    decided_lines: int
    """All lines up to this one are decided; where the stream ended early, go on behind it."""
    accepted: int
    duplicate: int
    conflict: int
    closed: int
    refused: int
    error: int
    malformed: int
    """Lines that hold no packet."""
    rejected: Sequence[RejectedLine]
    """The first lines that were not taken; the counts count all."""


class Summary:
    """The counts of one stream."""

    def __init__(self, max_rejected: int, max_rejected_bytes: int) -> None:
        """List up to *max_rejected* lines that were not taken, of *max_rejected_bytes* together."""
        self.decided_lines = 0
        self._max_rejected = max_rejected
        self._left = max_rejected_bytes
        self._whole = BatchStatus()
        self._rejected: list[RejectedLine] = []

    def add(self, group: LineGroup, receipts: Sequence[Receipt]) -> None:
        """Count *group*, whose packets got *receipts*."""
        counts = tally(receipts)
        self._whole.add(counts, receipts)
        if group.faults:
            self._whole.add_malformed(len(group.faults), partial(_first, group))
        self.decided_lines = group.last
        capacity = self._max_rejected - len(self._rejected) if self._left > 0 else 0
        if capacity and (group.faults or not counts.keys() <= GOOD):
            wrong = sorted(_wrong(group, receipts, capacity), key=itemgetter(0))
            self._list([RejectedLine(line, problem(error)) for line, error in wrong[:capacity]])

    def so_far(self) -> StreamSummary:
        """The summary of the stream so far."""
        counts = self._whole.counts
        return StreamSummary(
            decided_lines=self.decided_lines,
            accepted=counts[Status.ACCEPTED],
            duplicate=counts[Status.DUPLICATE],
            conflict=counts[Status.CONFLICT],
            closed=counts[Status.CLOSED],
            refused=counts[Status.REFUSED],
            error=counts[Status.ERROR],
            malformed=self._whole.malformed,
            rejected=self._rejected,
        )

    def problem(self) -> HttpProblem | None:
        """The problem of the whole stream, if any (R9)."""
        return self._whole.problem()

    def left_out(self) -> str:
        """The number of packets that were not accepted and the reasons, in words; empty where all were."""
        return self._whole.left_out()

    def _list(self, wrong: Sequence[RejectedLine]) -> None:
        for one in wrong:
            self._left -= len(encode(one))
            if self._left < 0:
                return  # and list none that is behind it: what is listed are the first ones
            self._rejected.append(one)


class FaultLines:
    """The lines of a stream that hold no packet, as receipts.

    The first are listed one by one. A sender of more has no use for them, and each costs more than it took to send it:
    from there on those of one group share a receipt.
    """

    def __init__(self, one_by_one: int) -> None:
        """List so many *one_by_one*."""
        self._left = one_by_one

    def of(self, group: LineGroup) -> list[RejectedLine]:
        """The invalid lines of *group*."""
        faults = iter(group.faults)
        told = [RejectedLine(line, problem(error)) for line, error in islice(faults, self._left)]
        self._left -= len(told)
        told += [RejectedLine(line, problem(error), len(group.faults) - len(told)) for line, error in islice(faults, 1)]
        return told


def _first(group: LineGroup) -> str:
    line, fault = next(iter(group.faults))
    return f"line {line}: {fault.detail}"


def _wrong(group: LineGroup, receipts: Sequence[Receipt], most: int) -> Iterator[tuple[int, CollatorError]]:
    yield from islice(group.faults, most)
    for number, packet, receipt in zip(group.numbers, group.packets, receipts, strict=True):
        if receipt.status not in GOOD:
            yield number, receipt_problem(packet, receipt)
