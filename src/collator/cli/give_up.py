"""`collator give-up`: give up a delivery."""

from __future__ import annotations

import click

from collator.cli.command import command
from collator.cli.deliveries import describe
from collator.cli.service_call import ask, json_option, print_answer
from collator.settings import Scope, Settings


@command(
    Scope.CLIENT,
    short="Give up a delivery that is due.",
    examples=(
        ("Nobody will ever take it there", "collator give-up MSG_ID:archive"),
        ("Which are there? Their ids come first", "collator deliveries --state due"),
    ),
)
@click.argument("delivery_id", metavar="ID")
@json_option
def give_up(*, settings: Settings, delivery_id: str, as_json: bool) -> None:
    """Give up a delivery that is due, so that it is not tried any more; collator replay takes that back.

    ID is WEBHOOK_ID:ENDPOINT, as collator deliveries lists it. To repeat it changes nothing. The retention of its
    resource begins where it was the last that was due.
    """
    report = ask(settings, lambda client: client.give_up(delivery_id))
    print_answer(report, describe(report), as_json=as_json)
