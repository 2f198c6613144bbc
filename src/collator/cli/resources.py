"""`collator resources`: what became of resources, and what a person does to one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import click
import msgspec

from collator.cli.command import Noun, command
from collator.cli.packet import packet
from collator.cli.parameters import Moment, refuse_beside
from collator.cli.phrases import ranges
from collator.cli.service_call import ask, json_option, print_answer
from collator.cli.table import CellType, Column, listed, wide_option
from collator.cli.terminal import print_data, print_json
from collator.settings import Scope, Settings
from collator.states import EndedBy, State
from collator.text import counted

F = TypeVar("F", bound=Callable[..., object])

MAX_FAILURES, MAX_RANGES = 10, 100
_COLUMNS = (
    Column("ID", "resource_id"),
    Column("STATE", "state"),
    Column("TOTAL", "total"),
    Column("RECEIVED", "received"),
    Column("DONE", "done"),
    Column("FAILED", "failed"),
    Column("AGE", "opened_at", CellType.AGE),
)


def _times(function: F) -> F:
    """The options of a time at which resources were opened or ended: *opened_since* and the like."""
    for verb in ("ended", "opened"):
        for name, says in (("until", "before"), ("since", "later")):
            told = f"Only those that {'were ' if verb == 'opened' else ''}{verb} at this time or {says}."
            function = click.option(f"--{verb}-{name}", type=Moment(), metavar="TIME", help=told)(function)
    return function


@command(
    Scope.CLIENT,
    short="List resources and their progress.",
    examples=(
        ("The first 100 resources, ordered by id", "collator resources list"),
        ("Which of this day have failed packets?", "collator resources list --opened-since 2026-11-24 --failed"),
        ("Which are not delivered yet?", "collator resources list --undelivered"),
        ("Which calls of this day are still open?", "collator resources list --state open --prefix call-2026-11-24"),
        ("The next page, for a program", "collator resources list --cursor call-17 --limit 1000 --json"),
    ),
)
@click.option("--state", type=click.Choice([state.value for state in State]), help="Only those in this state.")
@click.option("--prefix", metavar="TEXT", help="Only those whose id begins with this prefix.")
@click.option("--order", type=click.Choice(["id", "newest", "oldest"]), help="By id, or which come first.")
@_times
@click.option("--failed", is_flag=True, help="Only those with packets that failed.")
@click.option("--undelivered", is_flag=True, help="Only those with a delivery that is due or dead.")
@click.option("--cursor", metavar="TEXT", help="Continue after the previous page.")
@click.option("--limit", type=click.IntRange(1, 1000), metavar="N", default=100, help="List at most N.  [100]")
@wide_option
@json_option
def list_(*, settings: Settings, wide: bool, as_json: bool, **wanted: Any) -> None:  # noqa: ANN401 - the options above
    """List resources, with their state and how far they are, and how long ago they were opened.

    They are in order of id where nothing is said but --state and --prefix, else the newest come first. TIME has its
    zone, as in 2026-11-24T02:05:00Z, or is a date, 2026-11-24, which begins at midnight UTC.
    """
    page = ask(settings, lambda client: client.resources(**wanted))
    print_answer(page, listed(page, "resources", _COLUMNS, wide=wide), as_json=as_json)


@command(
    Scope.CLIENT,
    short="Show a resource, and why it is not delivered yet.",
    examples=(
        ("What happened to call-17?", "collator resources show call-17"),
        ("The same for a program", "collator resources show call-17 --json"),
        ("With another service", "collator resources show call-17 --url http://collator.example:8000"),
    ),
)
@click.argument("resource_id", metavar="ID")
@json_option
def show(*, settings: Settings, resource_id: str, as_json: bool) -> None:
    """Show a resource: what is there, what is missing, and why it is not delivered yet."""
    report = ask(settings, lambda client: client.resource(resource_id))
    print_answer(report, describe(report), as_json=as_json)


@command(
    Scope.CLIENT,
    short="Print the outputs of a resource.",
    examples=(
        ("The outputs of call-17 so far, one per line", "collator resources outputs call-17"),
        ("With their indexes, for a program", "collator resources outputs call-17 --json"),
        ("At most 10 outputs after index 41", "collator resources outputs call-17 --cursor 41 --limit 10"),
    ),
)
@click.argument("resource_id", metavar="ID")
@click.option("--cursor", type=click.IntRange(0), metavar="INDEX", help="Begin after INDEX.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Print at most N.  [all]")
@json_option
def outputs(*, settings: Settings, resource_id: str, cursor: int | None, limit: int | None, as_json: bool) -> None:
    """Print the outputs of a resource as JSON, one a line: in index order, all that there are so far.

    A packet without an output has no line; --json says which index each one has. `collator follow` prints them as they
    come.
    """
    page = ask(settings, lambda client: client.outputs(resource_id, cursor=cursor, limit=limit))
    if as_json:
        print_json(page, pretty=True)
        return
    for one in page["outputs"]:
        print_data(one["output"])


@command(
    Scope.CLIENT,
    examples=(
        ("The call has ended after 120 packets (0 to 119)", "collator resources complete call-17 --total 120"),
        ("It ended before anything was sent", "collator resources complete call-18 --total 0"),
        ("No more packets will come: close it with what it has", "collator resources complete call-17 --force"),
    ),
)
@click.argument("resource_id", metavar="ID")
@click.option("--total", type=click.IntRange(0), metavar="N", help="The resource has N packets in total.")
@click.option("--force", is_flag=True, help="Close it now, complete or not.")
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


@command(
    Scope.CLIENT,
    examples=(("The outputs of call-17 are not needed any more", "collator resources cancel call-17"),),
)
@click.argument("resource_id", metavar="ID")
@json_option
def cancel(*, settings: Settings, resource_id: str, as_json: bool) -> None:
    """End an open resource without a webhook.

    What waits is not processed any more. To repeat it changes nothing; a resource that has ended otherwise stays as
    it is.
    """
    report = ask(settings, lambda client: client.cancel(resource_id))
    print_answer(report, describe(report), as_json=as_json)


@command(
    Scope.CLIENT,
    short="Process packets that have no output again.",
    examples=(
        ("The model works again: retry the failed packets of call-17", "collator resources retry call-17"),
        ("How many resources ended incomplete since Monday?", "collator resources retry --since 2026-11-23 --dry-run"),
        ("Retry all of them", "collator resources retry --since 2026-11-23"),
        ("Those with a certain failure", "collator resources retry --reason 'out of memory'"),
        ("Those that --on-failure hold keeps open", "collator resources retry --state open"),
    ),
)
@click.argument("resource_id", metavar="[ID]", required=False)
@click.option("--state", type=click.Choice(["incomplete", "open"]), help="Only those in this state.  [incomplete]")
@click.option("--prefix", metavar="TEXT", help="Only those whose id begins with this prefix.")
@click.option("--since", type=Moment(), metavar="TIME", help="Only those that ended at this time or later.")
@click.option(
    "--completed-by", type=click.Choice([end.value for end in EndedBy]), help="Only those that ended by this."
)
@click.option("--reason", metavar="TEXT", help="Only those with a packet that failed for a reason with this text.")
@click.option("--dry-run", is_flag=True, help="Only count them; nothing changes.")
@json_option
def retry(*, settings: Settings, resource_id: str | None, dry_run: bool, as_json: bool, **wanted: str | None) -> None:
    """Process packets that have no output again, with a new set of attempts: of one resource, or of all that fit.

    Of an open resource these are the packets that failed. One that ended incomplete is opened again, if packets that
    it had received failed or were not finished: its outputs are kept, and once it ends there is one more webhook, with
    a new id, which says what it supersedes. TIME has its zone, as in 2026-11-24T02:05:00Z, or is a date, 2026-11-24,
    which begins at midnight UTC.
    """
    if resource_id is not None:
        refuse_beside("the ID of a resource", [*wanted, "dry_run"])
        answer = ask(settings, lambda client: client.retry(resource_id))
        said = f"{resource_id}: {counted(answer['retried'], 'packet')} will be tried again"
        print_answer(answer, [said], as_json=as_json)
        return
    chosen: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
    if not chosen:
        raise click.UsageError("give the ID of a resource, or select with --state, --prefix, --since, …")
    done = ask(settings, lambda client: client.retry_all(dry_run=dry_run, **chosen))
    packets = f"{counted(done['packets'], 'packet')} of {counted(done['resources'], 'resource')}"
    print_answer(done, [f"{packets} {'would' if dry_run else 'will'} be tried again"], as_json=as_json)


@command(
    Scope.CLIENT,
    short="Delete a resource that has ended.",
    examples=(
        ("Delete call-17 now, before its retention ends", "collator resources purge call-17"),
        ("An open one must be ended first", "collator resources cancel call-18 && collator resources purge call-18"),
    ),
)
@click.argument("resource_id", metavar="ID")
@json_option
def purge(*, settings: Settings, resource_id: str, as_json: bool) -> None:
    """Forget a resource that has ended: its packets, outputs and deliveries, those that were given up too.

    Its id is free then: a packet that comes late opens it anew. Refused while it is open or has a webhook to be
    delivered.
    """
    answer = ask(settings, lambda client: client.purge(resource_id))
    print_answer(answer, [f"{resource_id} is deleted"], as_json=as_json)


resources = Noun(
    "resources",
    *(list_, show, packet, outputs, complete, cancel, retry, purge),
    text="Inspect resources, end one, retry packets that have no output, or delete it. Without a verb: list.",
    short="Inspect resources, end one, or delete it.",
    examples=(
        ("Which resources are still open?", "collator resources list --state open"),
        ("Why was call-17 not delivered?", "collator resources show call-17"),
        ("Why did its packet 41 fail?", "collator resources packet call-17 41"),
        ("No more packets will come for it", "collator resources complete call-17 --force"),
    ),
)


def describe(report: Mapping[str, Any]) -> Iterator[str]:
    """The lines that tell a person what *report*, the service's answer on one resource, says. Pure."""
    by = f" ({report['completed_by']})" if report["completed_by"] else ""
    total = "an unknown number" if report["total"] is None else report["total"]
    yield f"{report['resource_id']}  {report['state']}{by}"
    packets = f"{report['received']} of {total} received, {report['done']} processed, {report['failed']} failed"
    yield f"  packets     {packets}"
    yield from _ranges("missing", report)
    yield from _ranges("unfinished", report)
    yield from _retrying(report)
    for failure in report["failures"][:MAX_FAILURES]:
        yield f"  failed      {failure['index']}: {failure['reason']} ({counted(failure['attempts'], 'attempt')})"
    if report["failed"] > MAX_FAILURES:
        yield f"  failed      and {report['failed'] - MAX_FAILURES} others"
    if report["metadata"]:
        yield f"  metadata    {msgspec.json.encode(report['metadata']).decode()}"
    yield f"  opened      {report['opened_at']}"
    if report["closed_at"]:
        yield f"  closed      {report['closed_at']}"
    for one in report["deliveries"]:
        last = f", the last: {one['reason']}" if one["reason"] else ""
        yield f"  webhook     {one['endpoint']}: {one['state']}, {counted(one['attempts'], 'attempt')}{last}"
    if report.get("deliveries_more"):
        yield f"  webhook     and {report['deliveries_more']} others"
    yield f"  id          {report['webhook_id']}"
    if report.get("supersedes"):
        yield f"  supersedes  {report['supersedes']}"
    if report["why_undelivered"]:
        yield f"  not delivered yet: {report['why_undelivered']}"


def _retrying(report: Mapping[str, Any]) -> Iterator[str]:
    again = report.get("retrying", ())  # a service of before does not say
    for one in again[:MAX_FAILURES]:
        when = "" if one["due_in"] is None else f", next in {one['due_in']:.0f} s"
        yield f"  tried       {one['index']}: {one['reason']} ({counted(one['attempts'], 'attempt')}{when})"
    if report.get("retrying_more") or len(again) > MAX_FAILURES:
        yield "  tried       and others"


def _ranges(name: str, report: Mapping[str, Any]) -> Iterator[str]:
    shown, rest = report[name][:MAX_RANGES], report.get(f"{name}_more", 0)  # a service of before gives all
    rest += sum(last - first + 1 for first, last in report[name][MAX_RANGES:])
    words = [*([ranges(shown)] if shown else []), *([f"and {counted(rest, 'other')}"] if rest else [])]
    if words:
        yield f"  {name:10}  {', '.join(words)}"
