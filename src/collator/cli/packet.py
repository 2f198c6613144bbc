"""`collator resources packet`: one packet, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click
import msgspec

from collator.cli.command import command
from collator.cli.exits import Exit
from collator.cli.phrases import sized
from collator.cli.service_call import ask, json_option, print_answer
from collator.cli.terminal import print_data, print_lines
from collator.settings import Scope, Settings
from collator.text import counted, shown

_CUT = 2_000
"""Characters of a payload or an output that are shown."""


@command(
    Scope.CLIENT,
    short="Show one packet: its payload, and why it failed.",
    examples=(
        ("Why did packet 41 of call-17 fail?", "collator resources packet call-17 41"),
        ("Try its payload again, here", "collator resources packet call-17 41 --payload | collator try -"),
        ("For a program", "collator resources packet call-17 41 --json"),
    ),
)
@click.argument("resource_id", metavar="ID")
@click.argument("index", type=click.IntRange(0), metavar="INDEX")
@click.option("--payload", "payload_alone", is_flag=True, help="Print the payload alone, as JSON.")
@json_option
def packet(*, settings: Settings, resource_id: str, index: int, payload_alone: bool, as_json: bool) -> Exit:
    """Show one packet of a resource: its payload, its state, its attempts, and why the last of them failed.

    There is no payload where the service runs with --hide-payloads; with --payload the exit code is 1 then.
    """
    if payload_alone and as_json:
        raise click.UsageError("--payload excludes --json")
    report = ask(settings, lambda client: client.packet(resource_id, index))
    if not payload_alone:
        print_answer(report, describe(report), as_json=as_json)
    elif "payload" in report:
        print_data(report["payload"])
    else:
        print_lines("collator: the service hides payloads (hide_payloads)", err=True)
        return Exit.FAILED
    return Exit.OK


def describe(report: Mapping[str, Any]) -> Iterator[str]:
    """The lines that tell a person what *report*, the service's answer on one packet, says. Pure."""
    state = report["state"] or "without an outcome: its resource has ended"
    yield f"{report['resource_id']} {report['index']}  {state}"
    if report["attempts"] or report["reason"]:
        last = f", the last: {report['reason']}" if report["reason"] else ""
        yield f"  attempts    {counted(report['attempts'], 'attempt')}{last}"
    if report["due_in"] is not None:
        yield f"  next        in {report['due_in']:.0f} s"
    size = sized(report["payload_size"])
    yield f"  payload     {_cut(report['payload'])}" if "payload" in report else f"  payload     {size}, hidden"
    if "output" in report:
        yield f"  output      {_cut(report['output'])}"


def _cut(value: object) -> str:
    return shown(msgspec.json.encode(value), _CUT)
