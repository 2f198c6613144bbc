"""A stream alone, and beside 1,000 readers of events and 200 senders over WebSocket, in turns, and what the goals are.

    python -m bench.live --runs 5 --dir /dev/shm         with Linux, where processor time is known

The readers follow one resource, which gets a packet each second; each sender sends a packet a second for a resource of
his own, and is told its outcome. Readers and senders are one process, which takes less of a core than the receiver. A
packet of them costs far more than one of the stream, as it has a commit, a call and an outcome to itself, and readers
cost by the second: what is measured is the processor time of the service for a packet, whatever kind it is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence

import uvloop
from rich.console import Console
from rich.table import Table

from bench import report
from bench.arguments import FAILED, OK, add_scale, add_service, exits, parse_scale
from bench.figures import LIVE, RATIOS, STREAM, Row, Samples, rows
from bench.runs import Scale, measure, words
from collator.signals import cancel_on_stop

GOALS: Mapping[str, float] = {"live_to_stream": 1.15, "event_p99_ms": 150.0}
"""At most."""
_SHOWN = (
    (STREAM, "packets_per_second"),
    (LIVE, "packets_per_second"),
    (LIVE, "live_per_second"),
    (LIVE, "clients_cores"),
    (LIVE, "others_cores"),
    (STREAM, "service_us_per_packet"),
    (LIVE, "service_us_per_packet"),
    (RATIOS, "live_to_stream"),
    (LIVE, "event_p50_ms"),
    (LIVE, "event_p99_ms"),
)


def main() -> int:
    """Measure what the arguments say; the exit code."""
    parser = argparse.ArgumentParser("python -m bench.live", description="Measure readers and senders beside a stream.")
    add_scale(parser)
    add_service(parser)
    parser.set_defaults(resources=10_000)
    given = parser.parse_args()
    scale = parse_scale(parser, given)
    about = report.about(scale, given.runs, None)
    with exits():
        samples, faults = uvloop.run(_measured(scale, given.runs))
    found = rows(samples)
    if given.json:
        print(report.as_json(about, found, faults).decode())
    else:
        console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
        report.show_machine(console, about)
        console.print(_table(found))
    print(*faults, sep="\n", end="\n" if faults else "", file=sys.stderr)
    return FAILED if faults else OK


async def _measured(scale: Scale, runs: int) -> tuple[list[Mapping[str, Samples]], list[str]]:
    """Measure both, *runs* times, the one first in every other run. SIGTERM ends it as Ctrl-C does."""
    cancel_on_stop()
    samples: list[Mapping[str, Samples]] = []
    faults: list[str] = []
    for run in range(runs):
        found: dict[str, Samples] = {}
        for part in (STREAM, LIVE)[:: -1 if run % 2 else 1]:
            result = await measure(part, scale, run)
            where = f"{part}, run {run + 1} of {runs}"
            print(f"{where}: {words(result)}", file=sys.stderr, flush=True)
            faults += [f"{where}: {fault}" for fault in result.faults]
            found[part] = result.samples
        samples.append(found)
    return samples, faults


def _table(found: Sequence[Row]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("", "", "median", "", "of the runs", "goal", ""):
        table.add_column(heading, justify="right" if heading in {"median", "goal"} else "left", no_wrap=True)
    by_name = {(row.part, row.figure.name): row for row in found}
    for row in filter(None, map(by_name.get, _SHOWN)):
        figure, goal = row.figure, GOALS.get(row.figure.name)
        spread = f"{report.number(min(row.values))} – {report.number(max(row.values))}"
        met = "" if goal is None else "met" if row.median <= goal else "missed"
        words = "" if goal is None else f"≤ {report.number(goal)} {figure.unit}"
        table.add_row(row.part, figure.label, report.number(row.median), figure.unit, spread, words, met)
    return table


if __name__ == "__main__":
    sys.exit(main())
