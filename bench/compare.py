"""This build beside another commit, in turns: rates, processor time for a packet, delays.

    make compare                                     beside the commit of the first release
    make compare COMPARE_ARGS='--with main~20 --only one --only light'
    python -m bench.compare --help

A machine that is shared drifts by a quarter within minutes, so only what is measured in turns can be compared: each run
of each part is made by both builds, this one first in every other run. What counts is the median of the ratios.
Sender and receiver are those of this checkout; the other commit has a checkout and an environment of its own, with the
libraries that it pins, in ``.compare``. The yardsticks say how the machine was.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import uvloop
from rich.console import Console

from bench import report
from bench.arguments import FAILED, OK, add_parts, add_scale, exits, parse_scale
from bench.checkouts import Build, of_commit, this
from bench.comparison import Pair, lines, plot, show
from bench.figures import HUNDREDTH, PARTS, TENTH, YARDSTICKS, Samples
from bench.runs import Scale, measure, words
from collator.signals import cancel_on_stop

FIRST = "5fb3d81"
"""The commit that is compared with where none is named: that on which issues measure."""
USUAL = tuple(part for part in PARTS if part not in {TENTH, HUNDREDTH})


class Comparison:
    """The runs of both builds, and what they gave."""

    def __init__(self, scale: Scale, builds: tuple[Build, Build], parts: Sequence[str]) -> None:
        """Measure *parts* of *builds*."""
        self._scale, self._builds, self._parts = scale, builds, parts
        self.runs: list[Mapping[str, Pair]] = []
        """For each run what its parts measured, of each build."""
        self.yardsticks: list[Samples] = []
        self.faults: list[str] = []

    async def run(self, number: int) -> None:
        """Measure everything *number* times. SIGTERM ends it as Ctrl-C does, so that no child outlives it."""
        cancel_on_stop()
        for run in range(number):
            self.runs.append({part: await self._in_turns(part, run) for part in self._parts if part != YARDSTICKS})
            if YARDSTICKS in self._parts:
                self.yardsticks.append((await measure(YARDSTICKS, self._scale, run)).samples)

    async def _in_turns(self, part: str, run: int) -> Pair:
        first, second = [await self._measure(part, run, build) for build in self._builds[:: -1 if run % 2 else 1]]
        return (second, first) if run % 2 else (first, second)

    async def _measure(self, part: str, run: int, build: Build) -> Samples:
        scale = self._scale._replace(source=build.source, python=build.python)
        result = await measure(part, scale, run)
        where = f"{part}, run {run + 1}, {build.name}"
        self.faults += [f"{where}: {fault}" for fault in result.faults]
        print(f"{where}: {words(result)}", file=sys.stderr, flush=True)
        return result.samples


def main() -> int:
    """Compare what the arguments say; the exit code."""
    parser = argparse.ArgumentParser("python -m bench.compare", description="Compare two builds on this machine.")
    parser.add_argument("--with", dest="other", metavar="COMMIT", default=FIRST, help=f"the other commit [{FIRST}]")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a plot, as SVG")
    add_scale(parser)
    add_parts(parser)
    given = parser.parse_args()
    scale = parse_scale(parser, given)
    wanted = given.only or USUAL
    with exits():
        builds = this(), of_commit(given.other, lambda line: print(line, file=sys.stderr, flush=True))
        about = report.about(scale, given.runs, None)
        comparison = Comparison(scale, builds, [part for part in PARTS if part in wanted])
        uvloop.run(comparison.run(given.runs))
    names, found = (builds[0].name, builds[1].name), [*lines(comparison.runs)]
    if given.plot:
        given.plot.write_text(plot(names, found), encoding="utf-8")
    if given.json:
        rows = [line.as_dict() for line in found]
        whole = {**about, "this": names[0], "other": names[1], "rows": rows, "yardsticks": comparison.yardsticks}
        print(msgspec.json.encode({**whole, "faults": comparison.faults}).decode())
    else:
        console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
        report.show_machine(console, about)
        show(console, names, found)
    print(*comparison.faults, sep="\n", end="\n" if comparison.faults else "", file=sys.stderr)
    return FAILED if comparison.faults else OK


if __name__ == "__main__":
    sys.exit(main())
