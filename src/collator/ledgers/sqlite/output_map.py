"""Where each output of a resource is, so that outputs can be read in the order of their indexes.

A map takes 5 bytes an index and 36 a run, of which a resource may have one for each output.

Runs are stored in the order of time. A map is made in turns, and kept for the next who asks: outputs are never changed
nor deleted before their resource is, so that it only has to go on behind the last number that it has.
"""

from __future__ import annotations

import time
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import compress, count, islice
from typing import Any, NamedTuple

import apsw

from collator.errors import Damaged
from collator.ledgers.sqlite.outruns import indexes_of, outputs_of
from collator.ledgers.sqlite.slices import Slice

TURN = 0.005
"""Seconds after which a look gives way to others."""
KEPT = 32 * 1024 * 1024
"""Bytes of all maps that are kept."""
STRETCH = 65_536
"""Outputs that are gone through in one go, at most: some 15 ms, in which other threads have their turns."""
_BLOCK = 4096
"""Indexes of which the interpreter finds those that are there in one go."""


class RunPlace(NamedTuple):
    """The place of a run."""

    n: int
    seq: int
    attempts: int
    size: int
    """Bytes of its outputs, as stored."""
    number: int
    """Outputs that it has."""


class OutputMap:
    """The map of one resource."""

    def __init__(self, connection: apsw.Connection, statements: Mapping[str, str], resource_row: int) -> None:
        self._connection, self._statements = connection, statements
        self._resource_row = resource_row
        self._columns = [array("q"), array("q"), array("I"), array("I")]  # `RunPlace` up to `size`
        self._totals = array("I", [0])  # outputs in all runs up to each
        self._means = array("I")  # bytes of an output of each run
        self._run_of = array("I")
        self.there = bytearray()
        """1 for each index that has an output."""

    @property
    def weight(self) -> int:
        """Bytes that it takes, about."""
        return 5 * len(self.there) + 36 * len(self._totals)

    def advance(self) -> bool:
        """Go on for a turn; whether it is complete, as of this look."""
        seq = self._columns[1][-1] if self._columns[1] else 0
        turn = Slice(TURN, now=time.perf_counter)
        for row in self._rows("outruns_behind", self._resource_row, seq):
            if not turn.lasts():
                return False
            self._add(*row)
        return True

    def count(self, last_seq: int) -> int:
        """The number of outputs up to the number *last_seq*."""
        return self._totals[bisect_right(self._columns[1], last_seq)]

    def run_of(self, index: int) -> RunPlace | None:
        """The run that has the output of *index*, if there is one."""
        return self._run(self._run_of[index]) if index < len(self.there) and self.there[index] else None

    def behind(self, after: int, *, most: int, size: int, last_seq: int) -> tuple[list[int], int | None]:
        """The next indexes behind *after*, up to *most* and about *size* bytes of outputs, numbered up to *last_seq*.

        And from where to go on; `None` at the end.
        """
        found: list[int] = []
        run_of, means = self._run_of, self._means
        runs = bisect_right(self._columns[1], last_seq)  # of which the numbers are up to it
        for index in islice(self._indexes(after), STRETCH):
            run = run_of[index]
            if run < runs:
                if found and (size < means[run] or len(found) == most):
                    return found, after
                found.append(index)
                size -= means[run]
            after = index
        return found, after if self.there.find(1, after + 1) >= 0 else None

    def runs(self, indexes: Sequence[int]) -> Iterator[RunPlace | None]:
        """The runs that have the outputs of *indexes*, in the order of time; `None` where a turn is over."""
        turn = Slice(TURN, now=time.perf_counter)
        for place in sorted({self._run_of[index] for index in indexes}):
            if not turn.lasts():
                yield None
                turn = Slice(TURN, now=time.perf_counter)
            yield self._run(place)

    def outputs(self, run: RunPlace) -> Iterator[tuple[int, bytes]]:
        """The outputs of *run* with their indexes, in the order of their numbers. `Damaged`."""
        for _, indexes, crc, outputs in self._rows("outrun", run.n):
            return outputs_of(indexes, outputs or b"", crc)
        raise Damaged("a run of outputs is gone")

    def _indexes(self, after: int) -> Iterator[int]:
        """The indexes behind *after* that have an output."""
        begin = self.there.find(1, after + 1)
        while begin >= 0:
            end = begin + _BLOCK
            yield from compress(count(begin), self.there[begin:end])
            begin = self.there.find(1, end)

    def _run(self, place: int) -> RunPlace:
        n, seq, attempts, size = (column[place] for column in self._columns)
        return RunPlace(n, seq, attempts, size, self._totals[place + 1] - self._totals[place])

    def _add(self, n: int, seq: int, attempts: int, encoded: bytes, size: int) -> None:
        indexes = indexes_of(encoded)
        place = len(self._totals) - 1
        for column, value in zip(self._columns, (n, seq, attempts, size), strict=True):
            column.append(value)
        self._totals.append(self._totals[-1] + len(indexes))
        self._means.append(size // max(1, len(indexes)))
        if not indexes:
            return
        first, last = indexes[0], max(indexes)
        if last >= len(self.there):
            more = max(last + 1, len(self.there) * 9 // 8) - len(self.there)
            self.there.extend(bytes(more))
            self._run_of.frombytes(bytes(more * self._run_of.itemsize))
        if indexes == [*range(first, first + len(indexes))]:
            self.there[first : last + 1] = b"\1" * len(indexes)
            self._run_of[first : last + 1] = array("I", [place]) * len(indexes)
            return
        for index in indexes:
            self.there[index] = 1
            self._run_of[index] = place

    def _rows(self, name: str, *parameters: int) -> Iterator[Any]:
        return iter(self._connection.execute(self._statements[name], parameters))


class OutputMaps:
    """The maps that were used last."""

    def __init__(self, connection: apsw.Connection, statements: Mapping[str, str]) -> None:
        """Make maps by *connection*, whose owner is the only one to use them."""
        self._connection, self._statements = connection, statements
        self._kept: dict[int, OutputMap] = {}

    def of(self, resource_row: int) -> OutputMap:
        """The map of the resource *resource_row*, made as far as it is."""
        found = self._kept.pop(resource_row, None) or OutputMap(self._connection, self._statements, resource_row)
        self._kept[resource_row] = found
        while len(self._kept) > 1 and sum(one.weight for one in self._kept.values()) > KEPT:
            del self._kept[next(iter(self._kept))]
        return found
