"""`collator deliveries`: what is sent where, how it went, and what a person does to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click

from collator.cli.command import Noun, command
from collator.cli.parameters import DeliveryId, chosen, refuse_beside
from collator.cli.service_call import ask, json_option, print_answer, require_endpoint
from collator.cli.table import CellType, Column, listed, wide_option
from collator.client import Client
from collator.client.replies import DeliveriesReply, ReplayAllReply
from collator.settings import Scope, Settings
from collator.text import counted

_COLUMNS = (
    Column("ID", "id", CellType.WIDE),
    Column("RESOURCE", "resource_id"),
    Column("ENDPOINT", "endpoint"),
    Column("STATE", "state"),
    Column("TRIES", "attempts"),
    Column("LAST", "attempted_at", CellType.AGE),
    Column("NEXT", "due_in", CellType.SPAN),
    Column("REASON", "reason"),
)


@command(
    Scope.CLIENT,
    short="List deliveries, and how the last attempt went.",
    examples=(
        ("Which deliveries were given up, and why?", "collator deliveries list --state dead"),
        ("Which deliveries wait for a receiver?", "collator deliveries list --state due --endpoint archive"),
        ("Which deliveries have the ID that a receiver names?", "collator deliveries list --webhook-id MSG_ID --wide"),
        ("Which failed of late with this answer?", 'collator deliveries list --order newest --reason "HTTP 503"'),
        ("With their IDs, and whole times and reasons", "collator deliveries list --state dead --wide"),
        ("For a program", "collator deliveries list --since 2026-11-24 --limit 1000 --json"),
    ),
)
@click.option("--state", type=click.Choice(["due", "delivered", "dead"]), help="Only those in this state.")
@click.option("--webhook-id", metavar="ID", help="Only those under this webhook id, to whatever endpoint.")
@chosen
@click.option("--order", type=click.Choice(["oldest", "newest"]), help="Which come first.  [oldest]")
@click.option("--cursor", metavar="TEXT", help="Continue after the previous page.")
@click.option("--limit", type=click.IntRange(1, 1000), metavar="N", default=100, help="List at most N.  [100]")
@wide_option
@json_option
def list_(*, settings: Settings, wide: bool, as_json: bool, **wanted: Any) -> None:  # noqa: ANN401 - the options above
    """List deliveries, by when they were created: their tries, how long ago the last one was, and when the next one is.

    TIME has its zone, as in 2026-11-24T02:05:00Z, or is a date, 2026-11-24, which begins at midnight UTC.
    """

    async def look(client: Client) -> DeliveriesReply:
        page = await client.deliveries(**wanted)
        if not page["deliveries"]:
            await require_endpoint(client, wanted["endpoint"])
        return page

    page = ask(settings, look)
    print_answer(page, listed(page, "deliveries", _COLUMNS, wide=wide), as_json=as_json)


@command(
    Scope.CLIENT,
    short="Show a delivery and its attempts.",
    examples=(
        ("Why was it not delivered yet?", "collator deliveries show MSG_ID:archive"),
        ("Which deliveries are there? Their IDs come first", "collator deliveries list --state due --wide"),
    ),
)
@click.argument("delivery_id", metavar="ID", type=DeliveryId())
@json_option
def show(*, settings: Settings, delivery_id: str, as_json: bool) -> None:
    """Show the delivery with ID (WEBHOOK_ID:ENDPOINT), and how each of its last 24 attempts went."""
    report = ask(settings, lambda client: client.delivery(delivery_id))
    print_answer(report, _report(report), as_json=as_json)


@command(
    Scope.CLIENT,
    short="Deliver again: one delivery, or all that match.",
    examples=(
        ("The receiver works again: send all deliveries that were given up", "collator deliveries replay --state dead"),
        ("All deliveries to one endpoint that were given up", "collator deliveries replay --endpoint archive"),
        ("What was delivered until Monday", "collator deliveries replay --state delivered --until 2026-11-23"),
        ("One delivery", "collator deliveries replay MSG_ID:archive"),
    ),
)
@click.argument("delivery_id", metavar="[ID]", required=False, type=DeliveryId())
@click.option("--state", type=click.Choice(["dead", "delivered"]), help="Only those in this state.  [dead]")
@chosen
@json_option
def replay(*, settings: Settings, delivery_id: str | None, as_json: bool, **wanted: str | None) -> None:
    """Deliver again: the delivery with ID (WEBHOOK_ID:ENDPOINT), or all that fit the options.

    A webhook is sent again under its id with its body, on a schedule that starts anew. What is due stays as it is: to
    send it at once, give it up, then replay it. Where the receiver was away, collator endpoints try ends that wait.
    TIME has its zone, as in 2026-11-24T02:05:00Z, or is a date, 2026-11-24, which begins at midnight UTC.
    """
    if delivery_id is not None:
        refuse_beside("the ID of a delivery", wanted)
        report = ask(settings, lambda client: client.replay(delivery_id))
        unchanged = report.get("was") == "due"  # a service of before does not say
        print_answer(report, [*_report(report), *(_unchanged(report) if unchanged else ())], as_json=as_json)
        return
    said: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
    if not said:
        raise click.UsageError("give the ID of a delivery, or select with --state, --endpoint, --resource, …")

    async def send_again(client: Client) -> tuple[ReplayAllReply, DeliveriesReply | None]:
        answer = await client.replay_all(**said)
        if answer["replayed"]:
            return answer, None
        await require_endpoint(client, said.get("endpoint"))
        return answer, await client.deliveries(**{**said, "state": "due"})

    answer, due = ask(settings, send_again)
    lines = [f"{counted(answer['replayed'], 'webhook')} will be sent again", *(_due_already(due) if due else ())]
    print_answer(answer, lines, as_json=as_json)


@command(
    Scope.CLIENT,
    short="Give up a delivery that is due.",
    examples=(
        ("The receiver will never accept it", "collator deliveries give-up MSG_ID:archive"),
        ("Which deliveries are there? Their IDs come first", "collator deliveries list --state due --wide"),
    ),
)
@click.argument("delivery_id", metavar="ID", type=DeliveryId())
@json_option
def give_up(*, settings: Settings, delivery_id: str, as_json: bool) -> None:
    """Give up a delivery that is due, so that it is not tried any more; collator deliveries replay takes that back.

    ID is WEBHOOK_ID:ENDPOINT. To repeat it changes nothing. The retention of its resource begins where it was the last
    that was due.
    """
    report = ask(settings, lambda client: client.give_up(delivery_id))
    print_answer(report, _report(report), as_json=as_json)


deliveries = Noun(
    "deliveries",
    *(list_, show, replay, give_up),
    text="""See how webhooks are delivered, deliver them again, or give one up. Without a verb: list.

    A delivery is what one endpoint gets of one finished resource; its ID is WEBHOOK_ID:ENDPOINT.""",
    short="See how webhooks are delivered, or deliver again.",
    examples=(
        ("Which deliveries were given up, and why?", "collator deliveries list --state dead"),
        ("The attempts of one delivery", "collator deliveries show MSG_ID:archive"),
        ("The receiver works again: send all of them again", "collator deliveries replay --state dead"),
    ),
    id_mark=":",
)


def _due_already(page: DeliveriesReply) -> Iterator[str]:
    """The lines on what fitted but was due, and so was left as it was; *page* is the first of it."""
    number = len(page["deliveries"])
    if number:
        yield f"due already, so unchanged: {number}" + (" or more" if page["next_cursor"] else "")
        yield "to send one at once: collator deliveries give-up ID, then replay ID"
        yield "their IDs:           collator deliveries list --state due --wide"
        yield "a receiver mended:   collator endpoints try NAME"


def _unchanged(report: Mapping[str, Any]) -> Iterator[str]:
    """The lines on a replay of what was due, and what sends it at once: a replay does not end a wait for a receiver."""
    yield "  replay      nothing changed: it was due already"
    yield "              to send it at once: collator deliveries give-up, then replay"
    yield f"              where its receiver was mended: collator endpoints try {report['endpoint']}"


def _report(report: Mapping[str, Any]) -> Iterator[str]:
    yield f"{report['id']}  {report['state']}"
    yield f"  resource    {report['resource_id']}"
    yield f"  endpoint    {report['endpoint']}"
    for one in report["log"]:
        yield f"  attempt     {one['attempt']} at {one['at']}, {one['seconds']:.3f} s: {one['result']}, {one['reason']}"
    yield from _answered(report["answer"])
    if report["why_undelivered"]:
        yield f"  not delivered yet: {report['why_undelivered']}"


def _answered(answer: Mapping[str, Any] | None) -> Iterator[str]:
    """The lines on the last answer that was no success."""
    if answer is None:
        return
    kind = answer["media_type"] or "no content type"
    yield f"  answer      HTTP {answer['status']} at {answer['at']}, {counted(answer['size'], 'byte')}, {kind}"
    for line in answer["text"].splitlines():
        yield f"{'':14}{line}"
