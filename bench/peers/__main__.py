"""The command line of the job by other means: see `bench.peers`. It exits with 0 only if every webhook was right."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import uvloop
from rich.console import Console

from bench.arguments import FAILED, INTERRUPTED, OK
from bench.peers import results, runs
from bench.peers.results import SYSTEMS, UNASKED
from bench.peers.runs import Figures
from bench.peers.systems import PEERS
from collator.errors import CollatorError
from collator.signals import cancel_on_stop

TIMEOUT = 120.0
"""Seconds that a run may take."""
MOST = 20_000
"""Resources of a run."""


def main() -> int:
    """Measure what the arguments say, and print it; the exit code."""
    parser = argparse.ArgumentParser("python -m bench.peers", description="Measure Collator beside other means.")
    add = parser.add_argument
    add("--resources", type=int, default=3000, metavar="N", help="of a run of Collator; slow peers get fewer [3000]")
    add("--runs", type=int, choices=range(1, 10), default=3, help="of everything [3]")
    add("--only", choices=SYSTEMS, action="append", help="this system; may be given again [all but restate]")
    add("--dir", type=Path, metavar="DIR", default=Path(), help="where stores are made, and removed [.]")
    add("--plot", type=Path, metavar="FILE", help="write a plot of the rates, as SVG")
    add("--json", action="store_true", help="print the result as JSON, and progress to stderr")
    given = parser.parse_args()
    if not 1 <= given.resources <= MOST:
        parser.error(f"--resources: between 1 and {MOST}")
    systems = [*_present(given.only or UNASKED)]
    try:
        found = uvloop.run(_measure(systems, given.resources, given.runs, given.dir.resolve()))
    except (CollatorError, TimeoutError) as error:
        print(f"{error}" or f"a run took longer than {TIMEOUT:g} s", file=sys.stderr)
        return FAILED
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("interrupted; the children have ended", file=sys.stderr)
        return INTERRUPTED
    rows, machine = [*results.rows(found)], f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores"
    if given.plot:
        given.plot.write_text(results.plot(rows, machine), encoding="utf-8")
    if given.json:
        about = {"date": time.strftime("%Y-%m-%d"), "cores": os.cpu_count()}
        print(msgspec.json.encode({**about, "runs": results.as_dict(found)}).decode())
    else:
        console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
        results.show(console, rows)
    return OK


def _present(systems: Sequence[str]) -> Sequence[str]:
    """Those of *systems* that can run here; of the others it is said why they cannot."""
    reasons = {name: PEERS[name].missing() for name in systems if name in PEERS}
    for name, reason in reasons.items():
        if reason:
            print(f"{name} is skipped: {reason}", file=sys.stderr)
    return [name for name in systems if not reasons.get(name)]


async def _measure(systems: Sequence[str], resources: int, number: int, place: Path) -> dict[str, list[Figures]]:
    """The figures of each run, by the name of the system and the way of sending. In turn: loads of machines change."""
    cancel_on_stop()
    found: dict[str, list[Figures]] = {}
    for run in range(1, number + 1):
        for system in systems:
            for name, figures in (await runs.run(system, resources, run, place, TIMEOUT)).items():
                found.setdefault(name, []).append(figures)
                rate, used, delay = figures
                words = f"{rate:,.0f} packets/s, {used:,.0f} µs a packet, delay {delay:.1f} ms"
                print(f"{name}, run {run} of {number}: {words}", file=sys.stderr, flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
