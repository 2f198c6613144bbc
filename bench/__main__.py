"""The command line of the job that is measured: see `bench`. It exits with 0 only if every webhook was right."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop
from rich.console import Console

from bench import report
from bench.arguments import FAILED, INTERRUPTED, OK, add_scale, parse_scale
from bench.celery_workers import BROKERS
from bench.figures import PARTS, rows
from bench.runs import Scale, Session
from collator.errors import CollatorError


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
    add("--workers", choices=("local", "celery"), default="local", help="who calls the processor [local]")
    add("--broker", choices=BROKERS, default="valkey", help="of --workers celery; it is started, and ended [valkey]")
    add("--profile", type=Path, metavar="DIR", help="profile the service, with py-spy")
    add("--source", type=Path, metavar="DIR", help="the src of another checkout, whose service is measured")
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
    try:
        uvloop.run(session.run())
    except CollatorError as error:
        print(error.detail, file=sys.stderr)
        return FAILED
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("interrupted; the children have ended and their stores are removed", file=sys.stderr)
        return INTERRUPTED
    found = rows(session.samples)
    if as_json:
        print(report.as_json(about, found, session.faults).decode())
    else:
        report.show(Console(highlight=False), about, found)
    print(*session.faults, sep="\n", end="\n" if session.faults else "", file=sys.stderr)
    return FAILED if session.faults else OK


if __name__ == "__main__":
    sys.exit(main())
