"""`collator outputs`: the outputs of a resource, as far as they are there."""

from __future__ import annotations

import click
import msgspec

from collator.cli.asking import ask, json_option, tell
from collator.cli.command import command
from collator.settings import Scope, Settings


@command(
    Scope.CLIENT,
    examples=(
        ("What has come out of call-17 so far, one output a line", "collator outputs call-17"),
        ("With their indexes, for a program", "collator outputs call-17 --json"),
        ("Only what came behind index 41", "collator outputs call-17 --after 41"),
    ),
)
@click.argument("resource_id", metavar="ID")
@click.option("--after", type=click.IntRange(-1), metavar="INDEX", default=-1, help="Begin behind INDEX.")
@json_option
def outputs(*, settings: Settings, resource_id: str, after: int, as_json: bool) -> None:
    """Print the outputs of a resource in index order, as JSON, one a line: all that there are so far.

    A packet without an output has no line; --json says which index each one has.
    """
    found = ask(settings, lambda client: client.outputs(resource_id, after=after))
    lines = (msgspec.json.encode(one["output"]).decode() for one in found)
    tell({"outputs": found}, lines, as_json=as_json)
