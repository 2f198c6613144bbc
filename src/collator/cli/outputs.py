"""`collator outputs`: the outputs of a resource, as far as they are there, or as they come."""

from __future__ import annotations

from typing import Any

import click

from collator.cli.command import command
from collator.cli.service_call import ask, json_option
from collator.cli.terminal import print_data, print_json, print_lines
from collator.client import Client
from collator.settings import Scope, Settings
from collator.text import counted


@command(
    Scope.CLIENT,
    short="Print the outputs of a resource, or follow them.",
    examples=(
        ("What has come out of call-17 so far, one output a line", "collator outputs call-17"),
        ("With their indexes, for a program", "collator outputs call-17 --json"),
        ("Only what is behind index 41, and no more than 10", "collator outputs call-17 --cursor 41 --limit 10"),
        ("Each outcome as it comes, until the resource has ended", "collator outputs call-17 --follow --json"),
        ("Go on behind the 120th of them", "collator outputs call-17 --follow --after-seq 120"),
    ),
)
@click.argument("resource_id", metavar="ID")
@click.option("--cursor", type=click.IntRange(0), metavar="INDEX", help="Begin behind INDEX.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Print N at most.  [all]")
@click.option("--follow", is_flag=True, help="Print each outcome as it is recorded, until the resource has ended.")
@click.option("--after-seq", type=click.IntRange(0), metavar="SEQ", help="Follow from behind SEQ.  [0]")
@json_option
def outputs(
    *,
    settings: Settings,
    resource_id: str,
    cursor: int | None,
    limit: int | None,
    follow: bool,
    after_seq: int | None,
    as_json: bool,
) -> None:
    """Print the outputs of a resource as JSON, one a line: in index order, all that there are so far.

    A packet without an output has no line; --json says which index each one has. With --follow they come in the order
    in which they are recorded, each once, whatever order the indexes come in; a failed packet is told on stderr. With
    --json too, each line is an object with "seq", "index", and "output" or "failed".
    """
    if not follow and after_seq is not None:
        raise click.UsageError("--after-seq goes with --follow")
    if follow and (cursor is not None or limit is not None):
        raise click.UsageError("--follow goes without --cursor and --limit")
    if follow:
        ask(settings, lambda client: _follow(client, resource_id, after_seq or 0, as_json=as_json))
        return
    page = ask(settings, lambda client: client.outputs(resource_id, cursor=cursor, limit=limit))
    if as_json:
        print_json(page, pretty=True)
        return
    for one in page["outputs"]:
        print_data(one["output"])


async def _follow(client: Client, resource_id: str, after_seq: int, *, as_json: bool) -> None:
    async for outcome in client.follow(resource_id, after_seq=after_seq):
        if as_json:
            print_data(outcome)
        elif "failed" in outcome:
            print_lines(_failed(outcome), err=True)
        else:
            print_data(outcome["output"])


def _failed(outcome: dict[str, Any]) -> str:
    failed = outcome["failed"]
    return f"index {outcome['index']} has failed: {failed['reason']} ({counted(failed['attempts'], 'attempt')})"
