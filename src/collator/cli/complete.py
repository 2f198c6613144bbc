"""`collator complete`: say how many packets a resource has, or end it now."""

from __future__ import annotations

import click

from collator.cli.command import command
from collator.cli.service_call import ask, json_option, print_answer
from collator.cli.show import describe
from collator.settings import Scope, Settings


@command(
    Scope.CLIENT,
    examples=(
        ("The call is over, and had 120 packets (0 to 119)", "collator complete call-17 --total 120"),
        ("It was called off before anything was sent", "collator complete call-18 --total 0"),
        ("Nothing more will come: end it with what is there", "collator complete call-17 --force"),
    ),
)
@click.argument("resource_id", metavar="ID")
@click.option("--total", type=click.IntRange(0), metavar="N", help="It has N packets, those that are yet to come too.")
@click.option("--force", is_flag=True, help="End it now, whatever is there.")
@json_option
def complete(*, settings: Settings, resource_id: str, total: int | None, force: bool, as_json: bool) -> None:
    """Say how many packets a resource has, or end it now.

    With --total it ends by itself once all of them have an outcome; with --total 0 at once, collated and empty, also
    where nobody sent a packet for it, so mind the ID. With --force it ends at once: collated where
    nothing is missing, and incomplete, with what there is, where something is.
    """
    if (total is None) != force:
        raise click.UsageError("give either --total N or --force")
    report = ask(settings, lambda client: client.complete(resource_id, total=total, force=force))
    whole = "received" in report  # a token that may only send is told the state alone
    print_answer(report, describe(report) if whole else [f"{resource_id}  {report['state']}"], as_json=as_json)
