"""What the runs of all systems come to, and how it is shown: a table, Markdown, JSON, a plot. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from bench.bars import Bar, bars
from bench.peers.runs import COLLATOR, WITH_CELERY, Figures
from bench.peers.systems import PEERS, SYNCED
from bench.report import number

SYSTEMS = (COLLATOR, WITH_CELERY, *PEERS)
UNASKED = tuple(name for name in SYSTEMS if name not in PEERS or not PEERS[name].asks_outside)
"""Those that are measured where none is named."""
_HEADS = ("", "packets/s", "CPU µs a packet", "delay ms", "durability of an ack")


class Row(NamedTuple):
    """One system by one way of sending: the medians of its runs."""

    name: str
    median: Figures
    durability: str

    def cells(self) -> Sequence[str]:
        """For a person."""
        return (self.name, *(number(value) if value else "–" for value in self.median), self.durability)


def rows(found: Mapping[str, Sequence[Figures]]) -> Iterator[Row]:
    """Yield what the runs of each name come to."""
    for name, runs in found.items():
        peer = PEERS.get(name)
        yield Row(name, Figures(*map(median, zip(*runs, strict=True))), peer.durability if peer else SYNCED)


def show(console: Console, found: Sequence[Row]) -> None:
    """Print a table on *console*."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for head in _HEADS:
        table.add_column(head, justify="right" if head and "ack" not in head.split() else "left", no_wrap=True)
    for row in found:
        table.add_row(*row.cells())
    console.print(table)


def as_dict(found: Mapping[str, Sequence[Figures]]) -> dict[str, Any]:
    """For programs: the figures of each run."""
    return {name: [run._asdict() for run in runs] for name, runs in found.items()}


def plot(found: Sequence[Row], note: str) -> str:
    """The rates as SVG, the highest first: blue where what is acknowledged is on the disk, grey where in memory."""
    ordered = sorted(found, key=lambda row: -row.median.packets_per_second)
    return bars(
        f"packets/s; blue: synced before the ack, grey: in memory. {note}",
        [
            Bar(row.name, rate := row.median.packets_per_second, number(rate), emphasis=row.durability == SYNCED)
            for row in ordered
        ],
    )
