"""The command line of the job that is measured: see `bench`. It exits with 0 only if every webhook was right."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import uvloop
from rich.console import Console

from bench import report
from bench.arguments import FAILED, OK, add_parts, add_scale, add_service, exits, parse_scale
from bench.celery_workers import BROKERS
from bench.figures import PARTS, rows
from bench.runs import Scale, Session


def main() -> int:
    """Measure what the arguments say; the exit code."""
    parser = _parser()
    given = parser.parse_args()
    scale = parse_scale(parser, given)
    broker = given.broker if given.workers == "celery" else None
    return _carry_out(scale, runs=given.runs, parts=given.only or PARTS, broker=broker, as_json=given.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m bench", description="Measure throughput and delays on this machine.")
    add = parser.add_argument
    add_scale(parser)
    add_parts(parser)
    add("--workers", choices=("local", "celery"), default="local", help="who calls the processor [local]")
    add("--broker", choices=BROKERS, default="valkey", help="of --workers celery; it is started, and ended [valkey]")
    add_service(parser)
    return parser


def _carry_out(scale: Scale, *, runs: int, parts: Sequence[str], broker: str | None, as_json: bool) -> int:
    about = report.about(scale, runs, broker)
    session = Session(
        scale,
        parts=[part for part in PARTS if part in parts],
        runs=runs,
        broker=broker,
        tell=lambda line: print(line, file=sys.stderr, flush=True),
    )
    with exits():
        uvloop.run(session.run())
    found = rows(session.samples)
    if as_json:
        print(report.as_json(about, found, session.faults).decode())
    else:
        report.show(Console(highlight=False), about, found)
    print(*session.faults, sep="\n", end="\n" if session.faults else "", file=sys.stderr)
    return FAILED if session.faults else OK


if __name__ == "__main__":
    sys.exit(main())
