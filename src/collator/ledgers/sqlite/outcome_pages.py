"""Pages of the outcomes of a resource: outputs in the order of their indexes, all outcomes in that of their numbers.

Every run that a page needs is verified against its checksum.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from collator.ledgers.sqlite.output_map import OutputMap
from collator.ledgers.sqlite.outruns import outputs_of, verified
from collator.messages import OutcomeReport
from collator.paging import UNBOUNDED

_Content = tuple[Sequence[OutcomeReport], bool]
"""Outcomes, and whether there are more behind them."""


class _Page:
    """A page in the making, of up to *limit* outcomes and *size* bytes, or a single one."""

    def __init__(self, limit: int, size: int) -> None:
        self.found: list[OutcomeReport] = []
        self.limit, self.size = limit, size

    def take(self, outcomes: Iterable[OutcomeReport]) -> bool:
        """Take *outcomes*; whether all of them fit."""
        for one in outcomes:
            self.size -= 2 * len(one.reason.encode()) if one.output is None else len(one.output)
            if len(self.found) == self.limit or (self.found and self.size < 0):
                return False
            self.found.append(one)
        return True


def by_index(where: OutputMap, after: int, limit: int, size: int) -> Iterator[_Content | None]:
    """Up to *limit* outputs behind the index *after*, of *size* bytes or a single one; `None` where a turn is over."""
    while not where.advance():
        yield None
    page = _Page(limit, size)
    place: int | None = max(after, -1)
    while place is not None:
        most = limit + 1 - len(page.found)
        indexes, place = where.behind(place, most=most, size=page.size, last_seq=UNBOUNDED)
        outputs: dict[int, OutcomeReport] = {}
        wanted = {*indexes}
        for run in where.runs(indexes):
            if run is None:
                yield None
            else:
                there = enumerate(where.outputs(run), run.seq)
                outputs.update({i: OutcomeReport(number, i, output) for number, (i, output) in there if i in wanted})
        if not page.take(outputs[index] for index in indexes):
            yield page.found, True
            return
    yield page.found, False


def by_number(runs: Iterable[Sequence[Any]], after: int, limit: int, size: int) -> _Content:
    """Up to *limit* outcomes of *runs* behind the number *after*, of *size* bytes or a single one. `Damaged`."""
    page = _Page(limit, size)
    whole = page.take(one for run in runs for one in _outcomes(run) if one.seq > after)
    return page.found, not whole


def _outcomes(run: Sequence[Any]) -> Iterator[OutcomeReport]:
    seq, attempts, indexes, crc, reason, outputs = run
    if outputs is None:
        (index,) = verified(indexes, b"", crc)[:1]
        yield OutcomeReport(seq, index, None, reason.decode(errors="replace"), attempts)
    else:
        for number, (index, output) in enumerate(outputs_of(indexes, outputs, crc), seq):
            yield OutcomeReport(number, index, output)
