"""`collator resume`: go on with an endpoint that is paused."""

from __future__ import annotations

import click

from collator.cli.command import command
from collator.cli.endpoints import describe
from collator.cli.service_call import ask, json_option, print_answer
from collator.settings import Scope, Settings


@command(
    Scope.CLIENT,
    short="Send again what is due to a paused endpoint.",
    examples=(
        ("Its receiver is there again", "collator resume crm"),
        ("Which are paused, and why?", "collator endpoints"),
    ),
)
@click.argument("endpoint", metavar="NAME")
@json_option
def resume(*, settings: Settings, endpoint: str, as_json: bool) -> None:
    """Send again what is due to the endpoint NAME, which a person has paused, or its receiver by answering 410.

    It begins with one webhook, and goes on as they are taken. To repeat it changes nothing.
    """
    report = ask(settings, lambda client: client.resume(endpoint))
    print_answer(report, describe(report), as_json=as_json)
