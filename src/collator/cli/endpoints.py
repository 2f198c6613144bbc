"""`collator endpoints`: where webhooks go, and why nothing is sent there at the moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from collator.cli.command import command
from collator.cli.phrases import aligned
from collator.cli.service_call import ask, json_option, print_answer
from collator.settings import Scope, Settings


@command(
    Scope.CLIENT,
    short="List endpoints, and why nothing is sent to one.",
    examples=(
        ("Is one paused, or does its receiver fail?", "collator endpoints"),
        ("For a program", "collator endpoints --json"),
    ),
)
@json_option
def endpoints(*, settings: Settings, as_json: bool) -> None:
    """List the endpoints of a service, and why nothing is sent to one at the moment."""
    answer = ask(settings, lambda client: client.endpoints())
    print_answer(answer, _table(answer), as_json=as_json)


def describe(report: Mapping[str, Any]) -> Iterator[str]:
    """The lines that tell a person what *report*, the service's answer on one endpoint, says. Pure."""
    yield f"{report['name']}  {_state(report)}"
    if report["why_not_sent"]:
        yield f"  nothing is sent: {report['why_not_sent']}"


def _table(answer: Mapping[str, Any]) -> Iterator[str]:
    rows = ((one["name"], _state(one), one["why_not_sent"]) for one in answer["endpoints"])
    yield from aligned(("NAME", "STATE", "WHY NOTHING IS SENT"), rows)


def _state(report: Mapping[str, Any]) -> str:
    if report["paused"]:
        return "paused"
    return ("held back" if report["why_not_sent"] else "sent to") if report["configured"] else "not configured"
