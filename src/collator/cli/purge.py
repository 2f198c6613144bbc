"""`collator purge`: forget a resource that has ended."""

from __future__ import annotations

import click

from collator.cli.command import command
from collator.cli.service_call import ask, json_option, print_answer
from collator.settings import Scope, Settings


@command(
    Scope.CLIENT,
    short="Forget a resource that has ended.",
    examples=(
        ("Forget call-17 now, and not when its retention ends", "collator purge call-17"),
        ("An open one has to be ended first", "collator cancel call-18 && collator purge call-18"),
    ),
)
@click.argument("resource_id", metavar="ID")
@json_option
def purge(*, settings: Settings, resource_id: str, as_json: bool) -> None:
    """Forget a resource that has ended: its packets, outputs and deliveries, those that were given up too.

    Its id is free then: a packet that comes late opens it anew. Refused while it is open or has a webhook to be
    delivered.
    """
    answer = ask(settings, lambda client: client.purge(resource_id))
    print_answer(answer, [f"{resource_id} is forgotten"], as_json=as_json)
