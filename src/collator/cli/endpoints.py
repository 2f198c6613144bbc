"""`collator endpoints`: where webhooks go, why nothing is sent there at the moment, and when a person wants it so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, TypeVar

import click

from collator.cli.command import Noun, command
from collator.cli.exits import Exit
from collator.cli.service_call import ask, json_option, print_answer, require_endpoint
from collator.cli.table import Column, listed, wide_option
from collator.client import Client
from collator.errors import Unknown
from collator.settings import Scope, Settings

R = TypeVar("R")
_COLUMNS = (Column("NAME", "name"), Column("STATE", "state"), Column("WHY NOTHING IS SENT", "why_not_sent"))


@command(
    Scope.CLIENT,
    short="List endpoints and their state.",
    examples=(
        ("Is one paused, or its breaker open?", "collator endpoints list"),
        ("For a program", "collator endpoints list --json"),
    ),
)
@wide_option
@json_option
def list_(*, settings: Settings, wide: bool, as_json: bool) -> None:
    """List the endpoints of a service, and why nothing is sent to one at the moment."""
    answer = ask(settings, lambda client: client.endpoints())
    rows = [one | {"state": _state(one)} for one in answer["endpoints"]]
    shown = listed({"endpoints": rows, "next_cursor": None}, "endpoints", _COLUMNS, wide=wide)
    print_answer(answer, shown, as_json=as_json)


@command(
    Scope.CLIENT,
    short="Send nothing to an endpoint until it is resumed.",
    examples=(
        ("Its receiver is moving", "collator endpoints pause crm"),
        ("Which endpoints are there?", "collator endpoints list"),
    ),
)
@click.argument("endpoint", metavar="NAME")
@json_option
def pause(*, settings: Settings, endpoint: str, as_json: bool) -> None:
    """Send nothing to the endpoint NAME until it is resumed, over restarts; what is due to it stays due.

    What is under way ends as it does. To repeat it changes nothing.
    """
    report = _ask_about(settings, endpoint, lambda client: client.pause(endpoint))
    print_answer(report, _report(report), as_json=as_json)


@command(
    Scope.CLIENT,
    short="Resume a paused endpoint, and send what is due to it.",
    examples=(
        ("Its receiver works again", "collator endpoints resume crm"),
        ("Which are paused, and why?", "collator endpoints list"),
    ),
)
@click.argument("endpoint", metavar="NAME")
@json_option
def resume(*, settings: Settings, endpoint: str, as_json: bool) -> None:
    """Send again what is due to the endpoint NAME, which a person has paused, or its receiver by answering 410.

    It begins with one webhook, and goes on as they are taken. To repeat it changes nothing.
    """
    report = _ask_about(settings, endpoint, lambda client: client.resume(endpoint))
    hint = [f"  to try it at once: collator endpoints try {endpoint}"] if report["why_not_sent"] else []
    print_answer(report, [*_report(report), *hint], as_json=as_json)


@command(
    Scope.CLIENT,
    short="Try at once whether a receiver works again.",
    examples=(
        ("Its receiver was mended: do not wait for the next probe", "collator endpoints try crm"),
        ("What came of it?", "collator status"),
    ),
)
@click.argument("endpoint", metavar="NAME")
@json_option
def try_(*, settings: Settings, endpoint: str, as_json: bool) -> None:
    """Attempt the next delivery to the endpoint NAME at once, whatever it waits for: its receiver, or its next try.

    If it succeeds, the others that are due follow. Those whose last attempt failed by themselves wait for their time;
    try again, or replay them.
    """
    report = _ask_about(settings, endpoint, lambda client: client.try_now(endpoint))
    tried = "a delivery is being attempted" if report["under_way"] else "nothing is due"
    print_answer(report, [*_report(report), f"  try         {tried}"], as_json=as_json)


@command(
    Scope.CLIENT,
    short="Send a test to a receiver, and show what it says.",
    examples=(
        ("Does the receiver accept the signature?", "collator endpoints test crm"),
        ("Then let it go on, if it was paused", "collator endpoints resume crm"),
    ),
)
@click.argument("endpoint", metavar="NAME")
@json_option
def test(*, settings: Settings, endpoint: str, as_json: bool) -> Exit:
    """Send one webhook of the type "test" to the receiver of the endpoint NAME, and show what it says.

    It is signed and sent as all others, also while the endpoint is paused or its breaker open. It tells of no
    resource, and is no delivery. The exit code is 0 only if the receiver accepts it.
    """
    answer = _ask_about(settings, endpoint, lambda client: client.test(endpoint))
    print_answer(answer, _said(endpoint, answer), as_json=as_json)
    return Exit.OK if answer["accepted"] else Exit.FAILED


endpoints = Noun(
    "endpoints",
    *(list_, pause, resume, try_, test),
    text="List, pause, resume, try and test endpoints. Without a verb: list.",
    short="List, pause, resume, try and test endpoints.",
    examples=(
        ("Is one paused, or its breaker open?", "collator endpoints list"),
        ("Its receiver is moving", "collator endpoints pause crm"),
        ("It works again", "collator endpoints resume crm"),
    ),
)


def _ask_about(settings: Settings, endpoint: str, question: Callable[[Client], Awaitable[R]]) -> R:
    """The answer to *question* on *endpoint*; where there is none of this name, `Unknown` says which there are."""

    async def asked(client: Client) -> R:
        try:
            return await question(client)
        except Unknown:
            await require_endpoint(client, endpoint)
            raise

    return ask(settings, asked)


def _report(report: Mapping[str, Any]) -> Iterator[str]:
    yield f"{report['name']}  {_state(report)}"
    if report["why_not_sent"]:
        yield f"  nothing is sent: {report['why_not_sent']}"


def _said(endpoint: str, answer: Mapping[str, Any]) -> Iterator[str]:
    yield f"{endpoint}  {'accepted' if answer['accepted'] else 'not accepted'}"
    yield f"  webhook     {answer['webhook_id']}"
    yield f"  answer      {answer['reason']}, after {answer['seconds']:.3f} s"
    for number, line in enumerate(answer["text"].splitlines()):
        yield f"{'' if number else '  text':14}{line}"


def _state(report: Mapping[str, Any]) -> str:
    if report["paused"]:
        return "paused"
    if report.get("next_try_in") is not None:
        return "breaker open"
    return ("held back" if report["why_not_sent"] else "sent to") if report["configured"] else "not configured"
