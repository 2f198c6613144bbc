"""`collator bench`: the job of a live stream, measured on this machine with real processes, beside its yardsticks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from collator.cli.bench.figures import PARTS, rows
from collator.cli.command import command
from collator.cli.exits import Exit
from collator.cli.terminal import say
from collator.directory import make, writable
from collator.errors import ConfigError
from collator.settings import OPTIONS, Scope

if TYPE_CHECKING:
    from collator.cli.bench.measuring import Scale

MOST = 5_000_000
"""Packets of one run: they are prepared in memory, so that making them is no part of what is measured."""


@command(
    short="Measure throughput and delays on this machine.",
    examples=(
        ("All of it, three runs each", "collator bench"),
        ("A quick look at the stream", "collator bench --only stream --runs 1"),
        ("On the file system that will hold the data", "collator bench --dir /var/lib"),
        ("With another setting of the service", "collator bench --only post --set concurrency=2"),
        ("For a program", "collator bench --json"),
    ),
)
@click.option("--resources", type=click.IntRange(1, 100_000), metavar="N", default=3000, help="Of a run.  [3000]")
@click.option("--packets", type=click.IntRange(1, 10_000), metavar="N", default=20, help="Of a resource.  [20]")
@click.option("--connections", type=click.IntRange(1, 512), metavar="N", default=64, help="Of single POSTs.  [64]")
@click.option("--runs", type=click.IntRange(1, 99), metavar="N", default=3, help="Of everything.  [3]")
@click.option("--only", type=click.Choice(PARTS), multiple=True, help="This part; may be given again.  [all]")
@click.option("--seed", type=int, metavar="N", default=1, help="Decides the order of the packets.  [1]")
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path),
    metavar="DIR",
    default=".",
    help="Where stores are made, and removed.  [.]",
)
@click.option("--set", "changed", multiple=True, metavar="NAME=VALUE", help="A setting of the service.")
@click.option(
    "--timeout", type=click.IntRange(1, 3600), metavar="SECONDS", default=120, help="Of one part of one run.  [120]"
)
@click.option("--profile", type=click.Path(path_type=Path), metavar="DIR", help="Profile the service, with py-spy.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, and progress to stderr.")
def bench(
    *,
    resources: int,
    packets: int,
    connections: int,
    runs: int,
    only: tuple[str, ...],
    seed: int,
    directory: Path,
    changed: tuple[str, ...],
    timeout: int,
    profile: Path | None,
    as_json: bool,
) -> Exit:
    """Measure packets per second, acknowledgements, and the time from the last output to its webhook.

    A service, a sender and a receiver are started, each a process of its own. Resources of some packets, 50 under way
    at a time, are sent as single POSTs over many connections, then as one stream, then at light load one by one; the
    processor is the built-in one. Beside that stands what disk, decoder and web server give by themselves.

    Every webhook is checked. The exit code is 0 only if all of them are right.
    """
    from collator.cli.bench.measuring import Scale

    if resources * packets > MOST:
        raise click.UsageError(f"{resources * packets:,} packets; {MOST:,} at most, as they are prepared in memory")
    settings = _settings(changed)
    scale = Scale(
        resources,
        packets,
        connections,
        seed,
        timeout,
        writable(directory, option="--dir").resolve(),
        settings,
        _made(profile),
    )
    return _carry_out(scale, runs=runs, parts=[part for part in PARTS if part in (only or PARTS)], as_json=as_json)


def _carry_out(scale: Scale, *, runs: int, parts: Sequence[str], as_json: bool) -> Exit:
    from collator.cli.bench import loops, report
    from collator.cli.bench.session import Session

    about = report.about(scale, runs)
    session = Session(scale, parts=parts, runs=runs, tell=lambda line: say(line, err=True))
    try:
        loops.run(session.run())
    except (KeyboardInterrupt, asyncio.CancelledError):
        say("interrupted; the children have ended and their stores are removed", err=True)
        return Exit.INTERRUPTED
    found = rows(session.samples)
    if as_json:
        click.echo(report.as_json(about, found, session.faults))
    else:
        report.show(Console(highlight=False), about, found)
    for fault in session.faults:
        say(fault, err=True)
    return Exit.FAILED if session.faults else Exit.OK


def _settings(changed: Sequence[str]) -> dict[str, str]:
    """Settings by name. Raises `ConfigError`; what their values are worth the service will say."""
    pairs = {name.replace("-", "_"): value for name, _, value in (one.partition("=") for one in changed)}
    for name in pairs:
        if name not in OPTIONS or OPTIONS[name].scope not in (Scope.SERVICE, Scope.TEST):
            raise ConfigError(f"--set {name}: the service has no such setting; collator serve --help lists them")
    return pairs


def _made(directory: Path | None) -> Path | None:
    """The directory for profiles, which is made if it is missing, where there is a profiler."""
    if directory is None:
        return None
    from collator.cli.bench.profiling import profiler

    profiler()
    return make(directory, option="--profile").resolve()
