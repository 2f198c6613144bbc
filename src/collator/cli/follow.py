"""`collator follow`: the outcomes of a resource, as they are recorded."""

from __future__ import annotations

import asyncio

import click

from collator.cli.command import command
from collator.cli.service_call import ask, client, json_option
from collator.cli.terminal import print_data, print_lines
from collator.client.replies import OutcomeReply
from collator.settings import Scope, Settings
from collator.text import counted


@command(
    Scope.CLIENT,
    short="Print the outcomes of a resource as they come.",
    examples=(
        ("Each output of call-17 as it is recorded, until the resource ends", "collator follow call-17"),
        ("With their indexes, and with failures, for a program", "collator follow call-17 --json"),
        ("Continue after the 120th outcome", "collator follow call-17 --after-seq 120"),
    ),
)
@click.argument("resource_id", metavar="ID")
@click.option("--after-seq", type=click.IntRange(0), metavar="SEQ", default=0, help="Begin after this one.  [0]")
@json_option
def follow(*, settings: Settings, resource_id: str, after_seq: int, as_json: bool) -> None:
    """Print each output of a resource as soon as it is recorded, as JSON, one a line, until the resource has ended.

    They come in the order in which they are recorded, each once, whatever order the indexes come in; a failed packet is
    told on stderr. With --json each line is an object with "seq", "index", and "output" or "failed". Where the service
    does not answer, it is asked again, for a minute. The first packet of the resource must have been accepted.
    """
    ask(settings, lambda client: client.resource(resource_id))  # which fails at once where nothing answers
    asyncio.run(_follow(settings, resource_id, after_seq, as_json=as_json))


async def _follow(settings: Settings, resource_id: str, after_seq: int, *, as_json: bool) -> None:
    async with client(settings) as asked:
        async for outcome in asked.follow(resource_id, after_seq=after_seq):
            if as_json:
                print_data(outcome)
            elif "failed" not in outcome:
                print_data(outcome["output"])
            else:
                print_lines(_failure(outcome), err=True)


def _failure(outcome: OutcomeReply) -> str:
    failed = outcome["failed"]
    return f"index {outcome['index']} has failed: {failed['reason']} ({counted(failed['attempts'], 'attempt')})"
