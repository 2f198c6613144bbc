"""`collator status`: whether a service takes packets, and what it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from collator.cli.command import command
from collator.cli.exits import Exit
from collator.cli.phrases import sized
from collator.cli.service_call import ask, json_option, print_answer
from collator.settings import Scope, Settings


@command(
    Scope.CLIENT,
    short="Show whether a service accepts packets, and what it stores.",
    examples=(
        ("Is it ready, and how much work is waiting?", "collator status"),
        (
            "With another service, which requires a token",
            "collator status --url http://10.0.0.5:8000 --token-file token",
        ),
        ("In a script: wait until it accepts packets", "until collator status >/dev/null; do sleep 1; done"),
    ),
)
@json_option
def status(*, settings: Settings, as_json: bool) -> Exit:
    """Say whether a service takes packets, why not where it does not, and how much it holds.

    The exit code is 0 only if it takes packets.
    """
    answer = ask(settings, lambda client: client.status())
    print_answer(answer, describe(settings.service_url, answer), as_json=as_json)
    return Exit.OK if answer["ready"] else Exit.UNREACHABLE


def describe(url: str, answer: Mapping[str, Any]) -> Iterator[str]:
    """The lines that tell a person what *answer* says of the service at *url*. Pure."""
    yield f"{url}  {'ready' if answer['ready'] else 'NOT READY'}  (version {answer['version']})"
    yield from (f"  {reason}" for reason in answer["reasons"])
    for failing in answer.get("failing", ()):  # a service of before does not say
        when = "" if failing["due_in"] is None else f", next attempt in {failing['due_in']:.0f} s"
        packet = f"{failing['resource_id']} {failing['index']} at {failing['last_at']}{when}"
        yield f"  failed      {failing['times']} x {failing['reason']}; the last: {packet}"
    stored = answer["stored"]
    ended = ", ".join(f"{stored[state]} {state}" for state in ("collated", "incomplete", "cancelled"))
    gone = f", {stored['remembered']} deleted, ids remembered" if stored["remembered"] else ""
    yield f"  resources   {stored['open']} open, {ended}{gone}"
    yield f"  packets     {stored['waiting']} to be processed, {sized(stored['backlog'])}"
    yield f"  webhooks    {stored['due']} to be delivered, {stored['dead']} given up"
    if answer.get("paused"):  # a service of before does not say
        yield f"  paused      {', '.join(answer['paused'])}: nothing is sent until collator endpoints resume"
