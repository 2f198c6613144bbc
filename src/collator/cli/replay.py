"""`collator replay`: deliver again what was given up, or was delivered already."""

from __future__ import annotations

from typing import Any

import click

from collator.cli.command import command
from collator.cli.deliveries import describe
from collator.cli.parameters import chosen, refuse_beside
from collator.cli.service_call import ask, json_option, print_answer
from collator.settings import Scope, Settings
from collator.text import counted


@command(
    Scope.CLIENT,
    short="Deliver again: one delivery, or all that fit.",
    examples=(
        ("The receiver is back: send everything again that was given up", "collator replay --state dead"),
        ("All that one endpoint was given up on", "collator replay --endpoint archive"),
        ("What was delivered since Monday", "collator replay --state delivered --since 2026-11-23"),
        ("One delivery", "collator replay MSG_ID:archive"),
    ),
)
@click.argument("delivery_id", metavar="[ID]", required=False)
@click.option("--state", type=click.Choice(["dead", "delivered"]), help="Those in this state.  [dead]")
@chosen
@json_option
def replay(*, settings: Settings, delivery_id: str | None, as_json: bool, **wanted: str | None) -> None:
    """Deliver again: the delivery with ID (WEBHOOK_ID:ENDPOINT), or all that fit the options.

    A webhook is sent again under its id with its body, on a schedule that starts anew. What is due stays as it is.
    TIME has its zone, as in 2026-11-24T02:05:00Z, or is a date, 2026-11-24, which begins at midnight UTC.
    """
    if delivery_id is not None:
        refuse_beside("the ID of a delivery", wanted)
    said = {name: value for name, value in wanted.items() if value is not None}
    if (delivery_id is None) == (not said):
        raise click.UsageError("give the ID of a delivery, or say which with --state, --endpoint, --resource, …")
    if delivery_id is not None:
        report = ask(settings, lambda client: client.replay(delivery_id))
        print_answer(report, describe(report), as_json=as_json)
        return
    answer: dict[str, Any] = ask(settings, lambda client: client.replay_all(**said))
    print_answer(answer, [f"{counted(answer['replayed'], 'webhook')} will be sent again"], as_json=as_json)
