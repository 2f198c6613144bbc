"""`collator show`: one resource, as a person reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click
import msgspec

from collator.cli.command import command
from collator.cli.phrases import ranges
from collator.cli.service_call import ask, json_option, print_answer
from collator.settings import Scope, Settings
from collator.text import counted

MAX_FAILURES, MAX_RANGES = 10, 100


@command(
    Scope.CLIENT,
    short="Show a resource, and why it is not delivered yet.",
    examples=(
        ("What became of call-17", "collator show call-17"),
        ("The same for a program", "collator show call-17 --json"),
        ("At another service", "collator show call-17 --url http://collator.example:8000"),
    ),
)
@click.argument("resource_id", metavar="ID")
@json_option
def show(*, settings: Settings, resource_id: str, as_json: bool) -> None:
    """Show a resource: what is there, what is missing, and why it is not delivered yet."""
    report = ask(settings, lambda client: client.resource(resource_id))
    print_answer(report, describe(report), as_json=as_json)


def describe(report: Mapping[str, Any]) -> Iterator[str]:
    """The lines that tell a person what *report*, the service's answer, says. Pure."""
    yield f"{report['resource_id']}  {report['state']}{_by(report)}"
    yield f"  packets     {_packets(report)}"
    yield from _ranges("missing", report)
    yield from _ranges("unfinished", report)
    for failure in report["failures"][:MAX_FAILURES]:
        yield f"  failed      {failure['index']}: {failure['reason']} ({counted(failure['attempts'], 'attempt')})"
    if report["failed"] > MAX_FAILURES:
        yield f"  failed      and {report['failed'] - MAX_FAILURES} others"
    if report["metadata"]:
        yield f"  metadata    {msgspec.json.encode(report['metadata']).decode()}"
    yield f"  opened      {report['opened_at']}"
    if report["closed_at"]:
        yield f"  closed      {report['closed_at']}"
    for delivery in report["deliveries"]:
        yield f"  webhook     {_delivery(delivery)}"
    if report.get("deliveries_more"):
        yield f"  webhook     and {report['deliveries_more']} others"
    yield f"  id          {report['webhook_id']}"
    if report["why_undelivered"]:
        yield f"  not delivered yet: {report['why_undelivered']}"


def _ranges(name: str, report: Mapping[str, Any]) -> Iterator[str]:
    shown, more = report[name][:MAX_RANGES], report.get(f"{name}_more", 0)  # a service of before gives all
    more += sum(last - first + 1 for first, last in report[name][MAX_RANGES:])
    words = [*([ranges(shown)] if shown else []), *([f"and {counted(more, 'other')}"] if more else [])]
    if words:
        yield f"  {name:10}  {', '.join(words)}"


def _by(report: Mapping[str, Any]) -> str:
    return f" ({report['completed_by']})" if report["completed_by"] else ""


def _packets(report: Mapping[str, Any]) -> str:
    total = "an unknown number" if report["total"] is None else report["total"]
    return f"{report['received']} of {total} received, {report['done']} processed, {report['failed']} failed"


def _delivery(delivery: Mapping[str, Any]) -> str:
    words = f"{delivery['endpoint']}: {delivery['state']}, {counted(delivery['attempts'], 'attempt')}"
    return words + (f", the last: {delivery['reason']}" if delivery["reason"] else "")
