"""What two builds are compared by, run by run, and how it is shown: a table, JSON, a plot. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from bench.bars import Bar, bars
from bench.figures import LIGHT, PARTS, PURGE, SECTIONS, YARDSTICKS, Figure, Samples
from bench.report import number

COMPARED: Mapping[str, Sequence[str]] = {
    LIGHT: ("ack_p50_ms", "completion_to_send_p50_ms", "ack_to_webhook_p50_ms"),
    PURGE: ("purge_us_per_packet",),
}
"""The figures that say most of a part."""
_OTHERWISE = ("packets_per_second", "service_us_per_packet")

Pair = tuple[Samples, Samples]
"""What one run of one part measured, of this build and of the other."""


class Line(NamedTuple):
    """One figure of one part, of both builds."""

    part: str
    figure: Figure
    pairs: Sequence[tuple[float, float]]
    """Of each run in which both gave it, in the figure's unit."""

    @property
    def medians(self) -> tuple[float, float]:
        """The median of this build, and of the other."""
        return median(mine for mine, _ in self.pairs), median(theirs for _, theirs in self.pairs)

    @property
    def ratio(self) -> float:
        """This build by the other: the median of the ratios of the runs."""
        return median(mine / theirs for mine, theirs in self.pairs)

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        this, other = self.medians
        named = {"part": self.part, "name": self.figure.name, "unit": self.figure.unit}
        return {**named, "this": this, "other": other, "ratio": self.ratio, "runs": self.pairs}


def lines(runs: Sequence[Mapping[str, Pair]]) -> Iterator[Line]:
    """The figures of *runs*, each with what its parts measured; a figure that one build does not give is left out."""
    for part in PARTS:
        if part == YARDSTICKS:
            continue
        for figure in SECTIONS[part][1]:
            if figure.name in COMPARED.get(part, _OTHERWISE):
                pairs = [(mine.get(figure.name), theirs.get(figure.name)) for mine, theirs in _of(runs, part)]
                found = [(one * figure.factor, other * figure.factor) for one, other in pairs if one and other]
                if found:
                    yield Line(part, figure, found)


def _of(runs: Sequence[Mapping[str, Pair]], part: str) -> Iterator[Pair]:
    return (run[part] for run in runs if part in run)


def show(console: Console, names: tuple[str, str], found: Sequence[Line]) -> None:
    """Print *found* on *console*, the builds by their *names*."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("", "", *names, "", "ratio", "of the runs"):
        table.add_column(heading, justify="left" if heading in {"", "of the runs"} else "right", no_wrap=True)
    for line in found:
        ratios = sorted(mine / theirs for mine, theirs in line.pairs)
        spread = f"{number(ratios[0])} – {number(ratios[-1])}" if len(ratios) > 1 else ""
        this, other = map(number, line.medians)
        table.add_row(line.part, line.figure.label, this, other, line.figure.unit, number(line.ratio), spread)
    console.print(table)


def plot(names: tuple[str, str], found: Sequence[Line]) -> str:
    """*found* as SVG: for each figure this build (a bar) by the other, which is 1 (a line)."""
    title = f"{names[0]} by {names[1]}: more packets a second is better, of all else less"
    drawn = [Bar(f"{line.part}: {line.figure.label}", line.ratio, f"{line.ratio:.2f}") for line in found]
    return bars(title, drawn, mark=1.0)
