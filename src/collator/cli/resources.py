"""`collator resources`: the list of resources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from collator.cli.command import command
from collator.cli.phrases import aligned, more
from collator.cli.service_call import ask, json_option, print_answer
from collator.settings import Scope, Settings
from collator.states import State


@command(
    Scope.CLIENT,
    short="List resources, and how far they are.",
    examples=(
        ("The first 100 resources, in order of id", "collator resources"),
        ("Which calls of today have not ended?", "collator resources --state open --prefix call-2026-11-24"),
        ("The next page, for a program", "collator resources --cursor call-17 --limit 1000 --json"),
    ),
)
@click.option("--state", type=click.Choice([state.value for state in State]), help="Only those in this state.")
@click.option("--prefix", metavar="TEXT", help="Only those whose id begins so.")
@click.option("--cursor", metavar="ID", help="Begin behind this id.")
@click.option("--limit", type=click.IntRange(1, 1000), metavar="N", default=100, help="List N at most.  [100]")
@json_option
def resources(*, settings: Settings, as_json: bool, **wanted: Any) -> None:  # noqa: ANN401 - the options above
    """List resources in order of id, with their state and how far they are."""
    page = ask(settings, lambda client: client.resources(**wanted))
    print_answer(page, describe(page), as_json=as_json)


def describe(page: Mapping[str, Any]) -> Iterator[str]:
    """The lines that tell a person what *page*, the service's answer, says. Pure."""
    heads = ("ID", "STATE", "TOTAL", "RECEIVED", "DONE", "FAILED", "OPENED")
    rows = ([one[head.lower()] for head in ("resource_id", *heads[1:-1], "opened_at")] for one in page["resources"])
    yield from aligned(heads, rows)
    yield from more(page)
