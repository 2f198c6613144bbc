"""Arguments of programs that measure the job: how much of it, and where."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.figures import PARTS
from bench.live_load import READERS, SENDERS
from bench.runs import Scale
from bench.usage import profiler
from collator.directory import make, writable
from collator.errors import CollatorError
from collator.settings import OPTIONS, Scope

MOST = 5_000_000
"""Packets of one run: they are prepared in memory, so that making them is no part of what is measured."""
OK, FAILED, INTERRUPTED = 0, 1, 130
"""Exit codes."""
_SEEDS = range(10**6, 10**7, 10**4)
"""Those of new runs: all of one length, as ids have it, and so far apart that the seeds of all parts fit between."""


def add_scale(parser: argparse.ArgumentParser) -> None:
    """Have *parser* know how much is measured, and where."""
    add = parser.add_argument
    add("--resources", type=_Numbers(1, 100_000), metavar="N", default=3000, help="of a run [%(default)s]")
    add("--packets", type=_Numbers(1, 10_000), metavar="N", default=20, help="of a resource [20]")
    add("--connections", type=_Numbers(1, 512), metavar="N", default=64, help="of single POSTs [64]")
    add(
        "--readers",
        type=_Numbers(1, 10_000),
        metavar="N",
        default=READERS,
        help=f"of events, beside a stream [{READERS}]",
    )
    add("--senders", type=_Numbers(1, 1000), metavar="N", default=SENDERS, help=f"by WebSocket, beside it [{SENDERS}]")
    add("--runs", type=_Numbers(1, 99), metavar="N", default=3, help="of everything [3]")
    add("--seed", type=int, metavar="N", help="decides ids and order of the packets [a new run]")
    add("--dir", type=Path, metavar="DIR", default=Path(), help="where stores are made, and removed [.]")
    add("--set", action="append", metavar="NAME=VALUE", default=[], help="a setting of the service")
    add("--timeout", type=_Numbers(1, 3600), metavar="SECONDS", default=120, help="of one part of one run [120]")
    add("--json", action="store_true", help="print the result as JSON, and progress to stderr")


def add_parts(parser: argparse.ArgumentParser) -> None:
    """Have *parser* know which parts are measured."""
    parser.add_argument("--only", choices=PARTS, action="append", help="this part; may be given again [all]")


def add_service(parser: argparse.ArgumentParser) -> None:
    """Have *parser* know which service is measured, and how closely."""
    add = parser.add_argument
    add("--profile", type=Path, metavar="DIR", help="profile the service, with py-spy")
    add("--source", type=Path, metavar="DIR", help="the src of another checkout, whose service is measured")


@contextmanager
def exits() -> Iterator[None]:
    """A context that says why what is measured failed or was interrupted, and ends the program with an exit code."""
    try:
        yield
    except CollatorError as error:
        print(error.detail, file=sys.stderr)
        sys.exit(FAILED)
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("interrupted; the children have ended and their stores are removed", file=sys.stderr)
        sys.exit(INTERRUPTED)


def parse_scale(parser: argparse.ArgumentParser, given: argparse.Namespace) -> Scale:
    """The scale that *given* says; where that cannot be measured, tell so as *parser* does, and end."""
    try:
        return _scale(given)
    except CollatorError as error:
        parser.error(error.detail)
    except (ValueError, OSError) as error:
        parser.error(str(error))


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
    if getattr(given, "profile", None):
        profiler()
    return Scale(
        given.resources,
        given.packets,
        given.connections,
        secrets.choice(_SEEDS) if given.seed is None else given.seed,  # a database may have the ids of a run before
        given.timeout,
        writable(given.dir, option="--dir").resolve(),
        _settings(given.set),
        make(profile, option="--profile").resolve() if (profile := getattr(given, "profile", None)) else None,
        source.resolve(strict=True) if (source := getattr(given, "source", None)) else None,
        readers=given.readers,
        senders=given.senders,
    )


def _settings(changed: Sequence[str]) -> dict[str, str]:
    """Settings by name. Raises `ValueError`; what their values are worth the service will say."""
    pairs = {name.replace("-", "_"): value for name, _, value in (one.partition("=") for one in changed)}
    for name in pairs:
        if name not in OPTIONS or OPTIONS[name].scope not in (Scope.SERVICE, Scope.TEST):
            raise ValueError(f"--set {name}: the service has no such setting; collator serve --help lists them")
    return pairs
