"""`collator send`: packets from a file, from a pipe or from a seed, and what became of them."""

from __future__ import annotations

import asyncio
import secrets
from typing import BinaryIO

import click
from rich.console import Console

from collator.cli.command import command
from collator.cli.exits import Exit
from collator.cli.packet_plan import Plan
from collator.cli.parameters import DurationOrOff, Span
from collator.cli.send_run import SendRun, from_file, from_plan
from collator.cli.terminal import print_json, print_lines
from collator.settings import Scope, Settings

SEEDS = 1_000_000
SHOWN = 20
"""Lines of what went wrong; --json has all."""
_GO_ON = (
    "nothing was delivered for {patience:g} s; the service goes on trying: see collator deliveries list --state due. "
    "To wait on, send the same packets again; to try at once: collator endpoints try NAME"
)


@command(
    Scope.CLIENT,
    examples=(
        ("Send 20 resources of 1 to 50 packets, and wait until all are delivered", "collator send --resources 20"),
        ("Send the packets of an earlier run again; all are duplicates", "collator send --resources 20 --seed 7"),
        ("A slower sender, with pauses of up to 50 ms", "collator send --resources 5 --packets 10 --pause 0-0.05"),
        ("Your own packets, one JSON object per line", "collator send packets.ndjson"),
        ("From another program, without waiting for deliveries", "my-recorder | collator send - --no-wait"),
    ),
)
@click.argument("file", type=click.File("rb"), required=False)
@click.option("--resources", type=click.IntRange(1), metavar="N", help="Generate random packets of N resources.")
@click.option("--packets", type=Span(int, 1), default="1-50", help="Number of packets of each resource.  [1-50]")
@click.option("--seed", type=int, metavar="N", help="Generate the packets of an earlier run.  [a new run]")
@click.option("--pause", type=Span(float, 0), default="0-0.02", help="Seconds to wait before each packet.  [0-0.02]")
@click.option(
    "--at-once",
    type=click.IntRange(1),
    metavar="N",
    default=50,
    help="Number of resources that are sent at a time.  [50]",
)
@click.option(
    "--concurrency", type=click.IntRange(1, 64), metavar="N", default=2, help="Number of concurrent requests.  [2]"
)
@click.option("--patience", type=DurationOrOff(), default="60s", help="How long to go on without success.  [60s]")
@click.option(
    "--wait/--no-wait", default=True, help="Wait until every resource is delivered (requires the role read).  [wait]"
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, and the progress to stderr.")
def send(
    *,
    settings: Settings,
    file: BinaryIO | None,
    resources: int | None,
    packets: tuple[int, int],
    seed: int | None,
    pause: tuple[float, float],
    at_once: int,
    concurrency: int,
    patience: float | None,
    wait: bool,
    as_json: bool,
) -> Exit:
    """Send packets, and say what became of them.

    FILE has one packet a line, as JSON: {"resource_id": "call-17", "index": 0, "payload": "hello", "last": true}; - is
    the standard input. Without FILE, --resources makes packets at random: of each resource some number, all of them in
    random order, with random pauses.

    What is not acknowledged is sent again, and a line says why while it does not go on. The exit code is 0 only if
    every packet was acknowledged, and every resource delivered with all its outputs (with --no-wait: acknowledged); it
    is 11 where all were delivered and some are incomplete, as packets of theirs failed.

    --patience is for a service that does not answer, and for a receiver that fails: where nothing else is left to wait
    for, and nothing was delivered for so long, it ends with 13, or 4 where the service is away. "off" waits without
    end. What was acknowledged is delivered whenever its receiver is back, and sending it again only waits on.
    """
    console = Console(stderr=as_json, highlight=False)
    if file is None:
        if resources is None:
            raise click.UsageError("nothing to send: give a FILE, - for standard input, or --resources N")
        source = from_plan(Plan(_chosen(seed, console), resources, packets, pause, at_once))
    elif resources is not None or seed is not None:
        raise click.UsageError("--resources and --seed generate packets; they exclude a FILE")
    else:
        source = from_file(file)
    run = SendRun(settings, source, in_flight=concurrency, patience=patience, wait=wait)
    return _carry_out(run, console, as_json=as_json)


def _chosen(seed: int | None, console: Console) -> int:
    if seed is not None:
        return seed
    seed = secrets.randbelow(SEEDS)
    console.print(f"seed {seed} (--seed {seed} generates the same packets again)")
    return seed


def _carry_out(run: SendRun, console: Console, *, as_json: bool) -> Exit:
    try:
        asyncio.run(run.carry_out(console))
    except KeyboardInterrupt:
        kept = "acknowledged packets are stored" if run.tally.acknowledged else "nothing was acknowledged"
        print_lines(f"interrupted; {kept}", err=True)
        return Exit.INTERRUPTED
    finally:
        _report(run, as_json=as_json)
    if run.exit is Exit.UNDELIVERED:
        print_lines(_GO_ON.format(patience=run.patience), err=True)
    return run.exit


def _report(run: SendRun, *, as_json: bool) -> None:
    if as_json:
        print_json(run.as_dict())
    else:
        print_lines(run.summary())
    complaints = run.complaints()
    for line in complaints[:SHOWN]:
        print_lines(line, err=True)
    if len(complaints) > SHOWN:
        print_lines(f"… and {len(complaints) - SHOWN} more (--json has all)", err=True)
