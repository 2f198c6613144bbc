"""`collator audit`: who did what."""

from __future__ import annotations

import click

from collator.cli.command import command
from collator.cli.service_call import ask, json_option, print_answer
from collator.cli.table import CellType, Column, listed, wide_option
from collator.settings import Scope, Settings

_COLUMNS = (
    Column("AGE", "at", CellType.AGE),
    Column("WHO", "who"),
    Column("FROM", "peer"),
    Column("WHAT", "verb"),
    Column("CHANGED", "changed"),
    Column("ON", "target"),
)


@command(
    Scope.CLIENT,
    short="List administrative actions, the latest first.",
    examples=(
        ("Who purged, replayed or cancelled something", "collator audit"),
        ("For a program", "collator audit --limit 1000 --json"),
    ),
)
@click.option("--cursor", metavar="TEXT", help="Continue after the previous page.")
@click.option("--limit", type=click.IntRange(1, 1000), metavar="N", default=100, help="List at most N.  [100]")
@wide_option
@json_option
def audit(*, settings: Settings, cursor: str | None, limit: int, wide: bool, as_json: bool) -> None:
    """List what was done that only the role admin may do, the latest first, and how many it changed.

    A token that was refused is listed as "refused", with how often: once a minute for each token and address.
    """
    page = ask(settings, lambda client: client.audit(cursor=cursor, limit=limit))
    print_answer(page, listed(page, "records", _COLUMNS, wide=wide), as_json=as_json)
