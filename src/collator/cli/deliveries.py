"""`collator deliveries`: what is sent where, and how it went."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from collator.cli.command import command
from collator.cli.parameters import chosen, refuse_beside
from collator.cli.phrases import aligned, more
from collator.cli.service_call import ask, json_option, print_answer
from collator.settings import Scope, Settings


@command(
    Scope.CLIENT,
    short="List deliveries, or show one and its attempts.",
    examples=(
        ("What was given up, and why", "collator deliveries --state dead"),
        ("What waits for a receiver", "collator deliveries --state due --endpoint archive"),
        ("One of them, with all its attempts", "collator deliveries MSG_ID:archive"),
        ("For a program", "collator deliveries --since 2026-11-24 --limit 1000 --json"),
    ),
)
@click.argument("delivery_id", metavar="[ID]", required=False)
@click.option("--state", type=click.Choice(["due", "delivered", "dead"]), help="Only those in this state.")
@chosen
@click.option("--cursor", metavar="TEXT", help="Begin where the page before ended.")
@click.option("--limit", type=click.IntRange(1, 1000), metavar="N", default=100, help="List N at most.  [100]")
@json_option
def deliveries(*, settings: Settings, delivery_id: str | None, as_json: bool, **wanted: Any) -> None:  # noqa: ANN401 - the options
    """List deliveries in the order of their birth; or with ID, one of them and how each attempt went.

    A delivery is what one endpoint gets of one finished resource; its ID is WEBHOOK_ID:ENDPOINT. TIME has its zone, as
    in 2026-11-24T02:05:00Z, or is a date, 2026-11-24, which begins at midnight UTC.
    """
    if delivery_id is not None:
        refuse_beside("the ID of a delivery", wanted)
        report = ask(settings, lambda client: client.delivery(delivery_id))
        print_answer(report, describe(report), as_json=as_json)
        return
    page = ask(settings, lambda client: client.deliveries(**wanted))
    print_answer(page, _table(page), as_json=as_json)


def describe(report: Mapping[str, Any]) -> Iterator[str]:
    """The lines that tell a person what *report*, the service's answer on one delivery, says. Pure."""
    yield f"{report['id']}  {report['state']}"
    yield f"  resource    {report['resource_id']}"
    yield f"  endpoint    {report['endpoint']}"
    for one in report["log"]:
        yield f"  attempt     {one['attempt']} at {one['at']}, {one['seconds']:.3f} s: {one['result']}, {one['reason']}"
    if report["why_undelivered"]:
        yield f"  not delivered yet: {report['why_undelivered']}"


def _table(page: Mapping[str, Any]) -> Iterator[str]:
    keys = ("id", "resource_id", "state", "attempts", "attempted_at", "reason")
    heads = ("ID", "RESOURCE", "STATE", "ATTEMPTS", "LAST", "REASON")
    yield from aligned(heads, ([one[key] for key in keys] for one in page["deliveries"]))
    yield from more(page)
