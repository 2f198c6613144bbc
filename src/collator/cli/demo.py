"""`collator demo`: the whole flow on this machine, and a check of every file that comes out of it."""

from __future__ import annotations

import json
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

from collator.cli.children import child, command_line, environment, free_port, listens, typed
from collator.cli.command import command
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
_NEXT = """\
Try next, in three terminals:
  {collator} serve --webhook http://127.0.0.1:9000/
  {collator} receive --secret-file collator-data/webhook.secret
  {collator} send --resources 20
and then the first with a processor of your own: --processor MODULE:FUNCTION"""


@command(
    short="Run the whole flow on this machine, and check the result.",
    examples=(
        ("Try it", "collator demo"),
        ("More packets, into a directory of your choice", "collator demo --resources 100 --packets 1-200 --dir demo"),
    ),
)
@click.option("--resources", type=click.IntRange(1), metavar="N", default=12, help="Number of resources.  [12]")
@click.option("--packets", type=Span(int, 1), default="1-30", help="Number of packets of each resource.  [1-30]")
@click.option("--seed", type=int, metavar="N", help="Use the packets of an earlier run.  [a new run]")
@click.option(
    "--dir", "directory", type=click.Path(path_type=Path), help="New directory for all files.  [collator-demo-TIME]"
)
def demo(*, resources: int, packets: tuple[int, int], seed: int | None, directory: Path | None) -> Exit:
    """Show the whole flow: start a service and a receiver, send packets, and check what arrives.

    Everything stays in a new directory: the store, the logs and one file for each resource. The exit code is 0 only if
    every file is there and every line of it is right.
    """
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    plan = Plan(seed, resources, packets, (0.0, 0.01), at_once=AT_ONCE)
    directory = make_new(directory or Path(time.strftime("collator-demo-%Y%m%d-%H%M%S")), option="--dir")
    try:
        with _terminated_as_interrupted():
            sent = _run(plan, directory)
    except KeyboardInterrupt:
        print_lines(f"interrupted; service and receiver have ended, and everything is in {directory}", err=True)
        return Exit.INTERRUPTED
    wrong = check(plan, directory / "received")
    for line in wrong[:SHOWN]:
        print_lines(line, err=True)
    if wrong or not sent:
        print_lines(f"the demo failed; everything is in {directory}, the logs too", err=True)
        return Exit.FAILED
    _show(plan, directory)
    return Exit.OK


def check(plan: Plan, received: Path) -> list[str]:
    """The errors in the files in *received*, a line each: computed from *plan* alone, not from any answer."""
    expected: dict[str, list[list[int]]] = {name: [[]] * size for name, size in plan.sizes().items()}
    for step in plan.steps():
        packet = step.packet
        expected[packet["resource_id"]][packet["index"]] = [len(word) for word in packet["payload"].split(" ")]
    wrong = [
        line for name, outputs in expected.items() for line in _compare(received / f"{file_name(name)}.txt", outputs)
    ]
    extra = {path.name for path in received.iterdir()} - {f"{file_name(name)}.txt" for name in expected}
    return wrong + [f"{received / name}: unexpected, it was not sent" for name in sorted(extra)]


def _compare(path: Path, outputs: list[list[int]]) -> Iterator[str]:
    try:
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    except FileNotFoundError:
        yield f"{path}: not found"
    except ValueError as error:
        yield f"{path}: not JSON: {error}"
    else:
        if lines != outputs:
            yield f"{path}: its {len(lines)} lines differ from the {len(outputs)} expected outputs"


def _run(plan: Plan, directory: Path) -> bool:
    """Return whether everything was sent and delivered."""
    port, inbox = free_port(), free_port()
    service = ("serve", "--port", str(port), "--webhook", f"http://127.0.0.1:{inbox}/")
    receiver = ("receive", "--port", str(inbox), "--secret-file", "collator-data/webhook.secret")
    # The service first, as it makes the secret that the receiver verifies with.
    with child("serve", *service, directory=directory, ready=lambda: listens(port)):
        print_lines(f"service    http://127.0.0.1:{port}, its store in {directory / 'collator-data'}")
        with child("receive", *receiver, directory=directory, ready=lambda: listens(inbox)):
            print_lines(f"receiver   http://127.0.0.1:{inbox}, its files in {directory / 'received'}")
            return _send(plan, port, directory)


def _send(plan: Plan, port: int, directory: Path) -> bool:
    print_lines(f"sender     {plan.resources} resources, their packets in random order (seed {plan.seed})", "")
    options = {
        "--url": f"http://127.0.0.1:{port}",
        "--resources": str(plan.resources),
        "--packets": _span(plan.packets),
        "--seed": str(plan.seed),
        "--pause": _span(plan.pause),
        "--at-once": str(plan.at_once),
    }
    arguments = command_line("send", *chain.from_iterable(options.items()))
    finished = subprocess.run(arguments, cwd=directory, env=environment(), check=False)  # noqa: S603 - our own program
    return finished.returncode == Exit.OK


def _show(plan: Plan, directory: Path) -> None:
    name = max(plan.sizes().items(), key=lambda item: item[1])[0]
    path = directory / "received" / f"{file_name(name)}.txt"
    lines = path.read_text("utf-8").splitlines()
    print_lines("", f"{plan.resources} of {plan.resources} files were received, and every line is right.")
    print_lines("", f"{path}, the word lengths of {len(lines)} packets in order:")
    print_lines(*(f"  {line}" for line in lines[:SHOWN]), *(["  …"] if len(lines) > SHOWN else []))
    print_lines("", *_NEXT.format(collator=typed(sys.argv[0])).split("\n"))


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
