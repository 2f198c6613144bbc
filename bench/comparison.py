"""What two builds are compared by, run by run, and how it is shown: a table, JSON, a plot. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

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


_WIDTH, _LEFT, _RIGHT, _BAR, _GAP, _TOP = 640, 210, 70, 11, 14, 44


def plot(names: tuple[str, str], found: Sequence[Line]) -> str:
    """*found* as SVG: for each figure this build (blue) by the other (grey), which is 1."""
    height = _TOP + len(found) * (_BAR + _GAP)
    most = max([1.0, *(line.ratio for line in found)])
    unit = (_WIDTH - _LEFT - _RIGHT) / most
    box = f"0 0 {_WIDTH} {height}"
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="8" y="18">{names[0]} by {names[1]}: more packets a second is better, of all else less</text>',
        f'<path d="M{_LEFT + unit:.1f} {_TOP - 10}V{height - 6}" stroke="#888"/>',
    ]
    for place, line in enumerate(found):
        y = _TOP + place * (_BAR + _GAP)
        drawn += [
            f'<text x="{_LEFT - 6}" y="{y + 9}" text-anchor="end">{line.part}: {line.figure.label}</text>',
            f'<rect x="{_LEFT}" y="{y}" width="{unit * line.ratio:.1f}" height="{_BAR}" fill="#15c"/>',
            f'<text x="{_LEFT + unit * line.ratio + 5:.1f}" y="{y + 9}">{line.ratio:.2f}</text>',
        ]
    return "\n".join([*drawn, "</svg>", ""])
