"""`collator retry`: new attempts for the failed packets of a resource."""

from __future__ import annotations

import click

from collator.cli.command import command
from collator.cli.service_call import ask, json_option, print_answer
from collator.settings import Scope, Settings
from collator.text import counted


@command(
    Scope.CLIENT,
    short="Process the failed packets of a resource again.",
    examples=(("The model is back: try the failed packets of call-17 again", "collator retry call-17"),),
)
@click.argument("resource_id", metavar="ID")
@json_option
def retry(*, settings: Settings, resource_id: str, as_json: bool) -> None:
    """Process the failed packets of an open resource again, with a new set of attempts.

    Resources with failed packets stay open where the service runs with --on-failure hold.
    """
    answer = ask(settings, lambda client: client.retry(resource_id))
    print_answer(
        answer, [f"{resource_id}: {counted(answer['retried'], 'packet')} will be tried again"], as_json=as_json
    )
