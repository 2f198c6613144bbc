"""`collator pause`: send nothing to an endpoint for now."""

from __future__ import annotations

import click

from collator.cli.command import command
from collator.cli.endpoints import describe
from collator.cli.service_call import ask, json_option, print_answer
from collator.settings import Scope, Settings


@command(
    Scope.CLIENT,
    short="Send nothing to an endpoint until it is resumed.",
    examples=(
        ("Its receiver is being moved", "collator pause crm"),
        ("Which are there?", "collator endpoints"),
    ),
)
@click.argument("endpoint", metavar="NAME")
@json_option
def pause(*, settings: Settings, endpoint: str, as_json: bool) -> None:
    """Send nothing to the endpoint NAME until collator resume, over restarts; what is due to it stays due.

    What is under way ends as it does. To repeat it changes nothing.
    """
    report = ask(settings, lambda client: client.pause(endpoint))
    print_answer(report, describe(report), as_json=as_json)
