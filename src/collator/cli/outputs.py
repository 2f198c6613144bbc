"""`collator outputs`: the outputs of a resource, as far as they are there."""

from __future__ import annotations

import click
import msgspec

from collator.cli.asking import ask, json_option, tell
from collator.cli.command import command
from collator.settings import Scope, Settings


@command(
    Scope.CLIENT,
    short="Print the outputs of a resource, as far as they are there.",
    examples=(
        ("What has come out of call-17 so far, one output a line", "collator outputs call-17"),
        ("With their indexes, for a program", "collator outputs call-17 --json"),
        ("Only what is behind index 41, and no more than 10", "collator outputs call-17 --cursor 41 --limit 10"),
    ),
)
@click.argument("resource_id", metavar="ID")
@click.option("--cursor", type=click.IntRange(0), metavar="INDEX", help="Begin behind INDEX.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Print N at most.  [all]")
@json_option
def outputs(*, settings: Settings, resource_id: str, cursor: int | None, limit: int | None, as_json: bool) -> None:
    """Print the outputs of a resource in index order, as JSON, one a line: all that there are so far.

    A packet without an output has no line; --json says which index each one has.
    """
    page = ask(settings, lambda client: client.outputs(resource_id, cursor=cursor, limit=limit))
    tell(page, (msgspec.json.encode(one["output"]).decode() for one in page["outputs"]), as_json=as_json)
