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
from bench.celery_workers import BROKERS
from bench.figures import PARTS, rows
from bench.runs import Scale, Session
from bench.usage import profiler
from collator.directory import make, writable
from collator.errors import CollatorError
from collator.settings import OPTIONS, Scope

MOST = 5_000_000
"""Packets of one run: they are prepared in memory, so that making them is no part of what is measured."""
OK, FAILED, INTERRUPTED = 0, 1, 130


def main() -> int:
    """Measure what the arguments say; the exit code."""
    parser = _parser()
    given = parser.parse_args()
    try:
        scale = _scale(given)
    except CollatorError as error:
        parser.error(error.detail)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    broker = given.broker if given.workers == "celery" else None
    return _carry_out(scale, runs=given.runs, parts=given.only or PARTS, broker=broker, as_json=given.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m bench", description="Measure throughput and delays on this machine.")
    add = parser.add_argument
    add("--resources", type=_Numbers(1, 100_000), metavar="N", default=3000, help="of a run [3000]")
    add("--packets", type=_Numbers(1, 10_000), metavar="N", default=20, help="of a resource [20]")
    add("--connections", type=_Numbers(1, 512), metavar="N", default=64, help="of single POSTs [64]")
    add("--runs", type=_Numbers(1, 99), metavar="N", default=3, help="of everything [3]")
    add("--only", choices=PARTS, action="append", help="this part; may be given again [all]")
    add("--seed", type=int, metavar="N", default=1, help="decides the order of the packets [1]")
    add("--dir", type=Path, metavar="DIR", default=Path(), help="where stores are made, and removed [.]")
    add("--set", action="append", metavar="NAME=VALUE", default=[], help="a setting of the service")
    add("--workers", choices=("local", "celery"), default="local", help="who calls the processor [local]")
    add("--broker", choices=BROKERS, default="valkey", help="of --workers celery; it is started, and ended [valkey]")
    add("--source", type=Path, metavar="DIR", help="the src of another checkout, whose service is measured")
    add("--timeout", type=_Numbers(1, 3600), metavar="SECONDS", default=120, help="of one part of one run [120]")
    add("--profile", type=Path, metavar="DIR", help="profile the service, with py-spy")
    add("--json", action="store_true", help="print the result as JSON, and progress to stderr")
    return parser


class _Numbers:
    """Whole numbers from *least* to *most*."""

    def __init__(self, least: int, most: int) -> None:
        self._least, self._most = least, most

    def __call__(self, text: str) -> int:
        number = int(text)
        if not self._least <= number <= self._most:
            raise argparse.ArgumentTypeError(f"{number} is not between {self._least} and {self._most}")
        return number


def _scale(given: argparse.Namespace) -> Scale:
    """Return what is measured. Raises `ValueError` and `CollatorError` where that cannot be."""
    if given.resources * given.packets > MOST:
        raise ValueError(
            f"{given.resources * given.packets:,} packets; {MOST:,} at most, as they are prepared in memory"
        )
    if given.profile is not None:
        profiler()
    return Scale(
        given.resources,
        given.packets,
        given.connections,
        given.seed,
        given.timeout,
        writable(given.dir, option="--dir").resolve(),
        _settings(given.set),
        make(given.profile, option="--profile").resolve() if given.profile else None,
        given.source.resolve(strict=True) if given.source else None,
    )


def _settings(changed: Sequence[str]) -> dict[str, str]:
    """Settings by name. Raises `ValueError`; what their values are worth the service will say."""
    pairs = {name.replace("-", "_"): value for name, _, value in (one.partition("=") for one in changed)}
    for name in pairs:
        if name not in OPTIONS or OPTIONS[name].scope not in (Scope.SERVICE, Scope.TEST):
            raise ValueError(f"--set {name}: the service has no such setting; collator serve --help lists them")
    return pairs


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
