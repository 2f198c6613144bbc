"""`collator cancel`: end a resource without a webhook."""

from __future__ import annotations

import click

from collator.cli.command import command
from collator.cli.service_call import ask, json_option, print_answer
from collator.cli.show import describe
from collator.settings import Scope, Settings


@command(
    Scope.CLIENT,
    examples=(("Nobody wants the outputs of call-17 any more", "collator cancel call-17"),),
)
@click.argument("resource_id", metavar="ID")
@json_option
def cancel(*, settings: Settings, resource_id: str, as_json: bool) -> None:
    """End an open resource without a webhook.

    What waits is not processed any more. To repeat it changes nothing; a resource that has ended otherwise stays as
    it is.
    """
    report = ask(settings, lambda client: client.cancel(resource_id))
    print_answer(report, describe(report), as_json=as_json)
