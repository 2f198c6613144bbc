"""What a person can see: a resource with its ranges and reasons, lists in pages, and counts that add up (P6)."""

from __future__ import annotations

from typing import Any

import pytest

from collator.clock import rfc3339
from collator.errors import Malformed, Unknown
from collator.messages import Counts, Failure, ResourceSearch, Retry
from collator.rules.footprint import of_packet, of_resource
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Ledger
from collator.states import DeliveryState, OnFailure, PacketState, State
from tests.conformance.steps import (
    again,
    claim,
    dead,
    delivered,
    drain,
    due,
    due_one,
    echo,
    fail,
    finish,
    listed,
    offer,
    outputs,
    packet,
    packets,
    process,
    record,
    replay,
    send,
)
from tests.conformance.store import Store


async def test_p6_the_report_of_an_open_resource(store: Store) -> None:
    ledger = await store.open()
    opened = rfc3339(store.clock.wall())
    await send(ledger, *(packet("r", index) for index in (0, 1, 2, 6, 7, 9)), packet("r", 5, metadata=b'{"a":1}'))
    tasks = {task.key.index: task for task in await claim(ledger)}
    await record(ledger, Failure(tasks[1].lease, "bad"), Retry(tasks[7].lease, "busy", 9.0), *echo([tasks[0]]))
    store.clock.advance(50)
    report = await ledger.resource("r")
    assert (report.state, report.completed_by, report.total) == (State.OPEN, None, None)
    assert (report.received, report.done, report.failed) == (7, 1, 1)
    assert [*report.missing] == [(3, 4), (8, 8)]
    assert [*report.unfinished] == [(2, 2), (5, 7), (9, 9)]
    assert [(failure.index, failure.reason, failure.attempts) for failure in report.failures] == [(1, "bad", 1)]
    assert (report.opened_at, report.closed_at, [*report.deliveries]) == (opened, None, [])
    assert bytes(report.metadata) == b'{"a":1}'


async def test_p6_missing_goes_up_to_the_total_where_it_is_known(ledger: Ledger) -> None:
    await send(ledger, packet("r", 1, total=6), packet("r", 3))
    assert [*(await ledger.resource("r")).missing] == [(0, 0), (2, 2), (4, 5)]


async def test_p6_the_report_of_a_collated_resource(store: Store) -> None:
    ledger = await store.open()
    await send(ledger, *packets(3))
    store.clock.advance(50)
    await process(ledger)
    closed = rfc3339(store.clock.wall())
    store.clock.advance(50)
    report = await ledger.resource("r")
    assert (report.state, report.completed_by, report.total) == (State.COLLATED, "last", 3)
    assert (report.received, report.done, report.failed) == (3, 3, 0)
    assert [*report.missing, *report.unfinished, *report.failures] == []
    assert (report.closed_at, bytes(report.metadata)) == (closed, b"{}")
    assert [delivery.state for delivery in report.deliveries] == [DeliveryState.DUE]


async def test_p6_the_report_of_an_incomplete_resource_keeps_its_ranges(store: Store) -> None:
    ledger = await store.open()
    await send(ledger, packet("r", 0), packet("r", 2), packet("r", 6, total=9))
    await record(ledger, *echo(await claim(ledger, 1)))
    await ledger.complete("r", force=True)
    for restart in (None, store.reopen):
        ledger = ledger if restart is None else await restart()
        report = await ledger.resource("r")
        assert [*report.missing] == [(1, 1), (3, 5), (7, 8)]
        assert [*report.unfinished] == [(2, 2), (6, 6)]


async def test_p6_the_report_shows_the_first_hundred_failures(store: Store) -> None:
    ledger = await store.open(LedgerLimits(on_failure=OnFailure.HOLD))
    await send(ledger, *packets(150))
    await fail(ledger)
    report = await ledger.resource("r")
    assert report.failed == 150
    assert [failure.index for failure in report.failures] == [*range(100)]


async def test_p6_the_report_says_what_is_tried_again_why_and_when(store: Store) -> None:
    ledger = await store.open()
    await send(ledger, *packets(4, last=False))
    tasks = await claim(ledger)
    returned, retry = Retry(tasks[0].lease, "HTTP 503", 0.0, counted=False), Retry(tasks[1].lease, "busy", 9.0)
    await record(ledger, returned, retry, Failure(tasks[2].lease, "bad"))
    store.clock.advance(5)
    for restart in (None, store.reopen):
        ledger = ledger if restart is None else await restart()
        report = await ledger.resource("r")
        told = [(one.index, one.reason, one.attempts) for one in report.retrying]
        assert (told, report.retrying_more) == ([(0, "HTTP 503", 0), (1, "busy", 1)], False)
        assert [one.due_in for one in report.retrying][1] == pytest.approx(4.0)
        assert not report.retrying[0].due_in
    store.clock.advance(5)
    assert [task.key.index for task in await claim(ledger)] == [0, 1, 3]
    assert [one.due_in for one in (await ledger.resource("r")).retrying] == [None, None]
    await ledger.complete("r", force=True)
    assert [*(await ledger.resource("r")).retrying] == []


async def test_p5_of_what_is_tried_again_the_first_are_shown(ledger: Ledger) -> None:
    await send(ledger, *packets(150))
    await record(ledger, *(Retry(task.lease, "busy", 9.0) for task in await claim(ledger)))
    report = await ledger.resource("r")
    assert ([one.index for one in report.retrying], report.retrying_more) == ([*range(100)], True)


async def test_p6_a_packet_from_its_acceptance_to_its_end(store: Store) -> None:
    ledger = await store.open(LedgerLimits(on_failure=OnFailure.HOLD))
    await send(ledger, *(packet("r", index, b'{"at": %d}' % index) for index in range(3)), packet("r", 5))

    async def shown(index: int) -> tuple[object, ...]:
        one = await ledger.packet("r", index)
        assert one.payload == b'{"at": %d}' % index
        return one.state, one.attempts, one.reason, one.due_in, one.output, one.seq

    assert await shown(0) == (PacketState.WAITING, 0, "", None, None, None)
    tasks = await claim(ledger, 3)
    assert await shown(0) == (PacketState.LEASED, 0, "", None, None, None)
    await record(ledger, *echo(tasks[:1]), Failure(tasks[1].lease, "bad"), Retry(tasks[2].lease, "busy", 9.0))
    assert await shown(0) == (PacketState.DONE, 1, "", None, b'{"at": 0}', 1)
    assert await shown(1) == (PacketState.FAILED, 1, "bad", None, None, 2)
    store.clock.advance(4)
    assert await shown(2) == (PacketState.WAITING, 1, "busy", pytest.approx(5.0), None, None)
    store.clock.advance(5)
    again = {task.key.index: task for task in await claim(ledger)}
    assert await shown(2) == (PacketState.LEASED, 1, "busy", None, None, None)
    await record(ledger, *echo([again[2]]))
    assert await shown(2) == (PacketState.DONE, 2, "", None, b'{"at": 2}', 3)
    await ledger.retry("r")
    assert await shown(1) == (PacketState.WAITING, 0, "", None, None, None)
    await ledger.complete("r", force=True)
    assert await shown(1) == (None, 0, "", None, None, None)
    ledger = await store.crash()
    assert (await shown(0))[0] is PacketState.DONE


async def test_a_packet_that_was_never_received_is_unknown(ledger: Ledger) -> None:
    await send(ledger, packet("r", 1), packet("s", 0))
    for resource_id, index in (("r", 0), ("r", 2), ("q", 0)):
        with pytest.raises(Unknown):
            await ledger.packet(resource_id, index)


async def test_resource_that_is_not_there_is_unknown(ledger: Ledger) -> None:
    await send(ledger, packet("r", 0))
    for look in (ledger.resource("R"), ledger.outputs("R"), ledger.resource("")):
        with pytest.raises(Unknown):
            await look


async def test_resources_come_in_order_of_id_and_in_pages(ledger: Ledger) -> None:
    names = ["a", "b", "ba", "B", "_", "ä", "10", "9"]
    await send(ledger, *(packet(name, 0) for name in names))
    pages, after = [], ""
    while page := await ledger.resources(after=after, limit=3):
        pages.append([summary.resource_id for summary in page])
        after = pages[-1][-1]
    assert [len(page) for page in pages] == [3, 3, 2]
    assert [name for page in pages for name in page] == sorted(names)


async def test_resources_by_state_and_prefix(ledger: Ledger) -> None:
    for name in ("a1", "a2", "b1"):
        await finish(ledger, name)
    await send(ledger, packet("a3", 0), packet("a4", 1))
    await ledger.cancel("a3")
    await ledger.complete("a4", force=True)
    await send(ledger, packet("a5", 0))

    async def found(**chosen: object) -> list[str]:
        return [summary.resource_id for summary in await ledger.resources(**chosen)]  # type: ignore[arg-type]

    assert await found(state=State.COLLATED) == ["a1", "a2", "b1"]
    assert await found(state=State.COLLATED, prefix="a") == ["a1", "a2"]
    assert await found(state=State.COLLATED, after="a1", limit=1) == ["a2"]
    assert await found(prefix="a") == ["a1", "a2", "a3", "a4", "a5"]
    assert await found(prefix="a", after="a3") == ["a4", "a5"]
    assert [await found(state=state) for state in (State.CANCELLED, State.INCOMPLETE, State.OPEN)] == [
        ["a3"],
        ["a4"],
        ["a5"],
    ]


@pytest.mark.parametrize("prefix", ["%", "_", "*", "[a", "a'", "\\", "é", "A"])
async def test_resources_take_a_prefix_as_it_is(ledger: Ledger, prefix: str) -> None:
    await send(ledger, packet(prefix, 0), packet(prefix + "x", 0), packet("ax", 0), packet("x" + prefix, 0))
    assert [summary.resource_id for summary in await ledger.resources(prefix=prefix)] == [prefix, prefix + "x"]


async def test_resources_show_how_far_each_is(store: Store) -> None:
    ledger = await store.open()
    await send(ledger, packet("r", 0), packet("r", 1), packet("r", 5, last=True))
    one, two, _ = await claim(ledger)
    await record(ledger, *echo([one]), Failure(two.lease, "bad"))
    (summary,) = await ledger.resources()
    assert (summary.state, summary.total, summary.received) == (State.OPEN, 6, 3)
    assert (summary.done, summary.failed, summary.opened_at) == (1, 1, rfc3339(store.clock.wall()))


async def test_outputs_come_in_order_of_index_and_in_pages(ledger: Ledger) -> None:
    for index in (8, 0, 3, 5, 1):
        await send(ledger, packet("r", index, b'{"at": %d}' % index))
    await process(ledger)
    await send(ledger, packet("r", 2))
    pages, after = [], -1
    while page := await outputs(ledger, "r", after=after, limit=2):
        pages.append([*page])
        after = page[-1][0]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [output for page in pages for output in page] == [
        (index, b'{"at": %d}' % index) for index in (0, 1, 3, 5, 8)
    ]


async def test_p5_outputs_come_in_pages_of_a_size(ledger: Ledger) -> None:
    for index, length in enumerate((10, 20, 30, 100, 5)):
        await send(ledger, packet("r", index, b'"%s"' % (b"x" * (length - 2))))
    await process(ledger)
    pages, after = [], -1
    while page := await outputs(ledger, "r", after=after, limit=4, size=40):
        pages.append([len(output or b"") for _, output in page])
        after = page[-1][0]
    assert pages == [[10, 20], [30], [100], [5]]


async def test_outputs_are_there_before_and_after_the_end(store: Store) -> None:
    ledger = await store.open()
    await send(ledger, packet("r", 0), packet("r", 1), packet("r", 4))
    await record(ledger, *echo(await claim(ledger, 2)))
    before = await outputs(ledger, "r")
    await ledger.complete("r", force=True)
    assert await outputs(ledger, "r") == before == [(0, b"0"), (1, b"1")]
    assert await outputs((await store.crash()), "r") == before


async def test_outputs_are_those_of_one_resource(ledger: Ledger) -> None:
    for name in "abc":
        await send(ledger, packet(name, 0, b'"%s"' % name.encode()), packet(name, 4))
    await process(ledger)
    await send(ledger, packet("none", 0))
    assert [(await outputs(ledger, name))[0] for name in "abc"] == [(0, b'"a"'), (0, b'"b"'), (0, b'"c"')]
    assert [len(await outputs(ledger, name)) for name in ("a", "b", "c", "none")] == [2, 2, 2, 0]


async def test_deliveries_by_endpoint_and_state(store: Store) -> None:
    ledger = await store.open(route=lambda _: ["x", "y"])
    await finish(ledger, "dead")
    await ledger.record_attempts([dead(await due_one(ledger, "x"))])
    await finish(ledger, "fresh")
    assert [shown.resource_id for shown in await listed(ledger, endpoint="x")] == ["dead", "fresh"]
    assert [shown.resource_id for shown in await listed(ledger, state=DeliveryState.DEAD)] == ["dead"]
    both = await listed(ledger, endpoint="x", state=DeliveryState.DUE)
    assert [(shown.resource_id, shown.endpoint) for shown in both] == [("fresh", "x")]
    assert not await listed(ledger, endpoint="y", state=DeliveryState.DEAD)


async def test_deliveries_say_when_they_are_due(store: Store) -> None:
    ledger = await store.open()
    await finish(ledger)
    (shown,) = await listed(ledger)
    assert (shown.state, shown.attempts, shown.reason) == (DeliveryState.DUE, 0, "")
    assert shown.due_in is not None
    assert shown.due_in <= 0
    held = await due_one(ledger)
    assert shown.webhook_id == held.webhook_id
    await ledger.record_attempts([again(held, 300.0)])
    store.clock.advance(100)
    (shown,) = await listed(ledger, state=DeliveryState.DUE)
    assert (shown.attempts, shown.reason, shown.due_in) == (1, "HTTP 503", 200.0)


async def test_counts_add_up(store: Store) -> None:
    ledger = await store.open()
    assert await ledger.counts() == Counts()
    waiting, opened = of_packet(6) + 2 * of_packet(1), of_resource("r", None) + of_resource("s", None)
    await send(ledger, packet("r", 0, b'"four"'), packet("r", 1), packet("r", 0, b'"four"'), packet("s", 5))
    assert await ledger.counts() == Counts(open=2, waiting=3, backlog=waiting + opened, open_bytes=opened)
    await claim(ledger, 1)
    assert await ledger.counts() == Counts(open=2, waiting=3, backlog=waiting + opened, open_bytes=opened)
    ledger = await store.reopen()
    await process(ledger)
    assert await ledger.counts() == Counts(open=2, backlog=opened, open_bytes=opened)
    await ledger.complete("r", total=2)
    await ledger.complete("s", force=True)
    assert await ledger.counts() == Counts(collated=1, incomplete=1, due=2)
    await send(ledger, packet("t", 0), packet("t", 1))
    await ledger.cancel("t")
    one, _ = await due(ledger)
    assert await ledger.counts() == Counts(collated=1, incomplete=1, cancelled=1, due=2)
    await ledger.record_attempts([dead(one)])
    assert await ledger.counts() == Counts(collated=1, incomplete=1, cancelled=1, due=1, dead=1)
    await replay(ledger, state=DeliveryState.DEAD)
    assert (await ledger.counts()).due == 2
    ledger = await store.crash()
    store.clock.advance(31)
    await drain(ledger)
    assert await ledger.counts() == Counts(collated=1, incomplete=1, cancelled=1)


async def found(ledger: Ledger, *, limit: int = 100, **wanted: Any) -> str:  # noqa: ANN401 - as a search has them
    """The ids that a search finds, all pages of *limit*; none is there twice."""
    page = await ledger.search(ResourceSearch(**wanted), limit=limit)
    names = [one.resource_id for one in page.resources]
    while page.after is not None:
        page = await ledger.search(ResourceSearch(**wanted), after=page.after, limit=limit)
        names += [one.resource_id for one in page.resources]
    assert len({*names}) == len(names)
    return "".join(names)


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_resources_are_found_by_time_and_by_what_is_wrong(store: Store, limit: int) -> None:
    limits = LedgerLimits(on_failure=OnFailure.HOLD)
    ledger = await store.open(limits, route=lambda name: [] if name == "n" else ["a", "b"])
    times = {}
    for name in "mfdnxo":  # in no order of ids
        times[name] = store.clock.wall()
        await offer(ledger, packet(name, last=name != "o"))
        store.clock.advance(60.0)
    tasks = {task.key.resource_id: task for task in await claim(ledger)}
    await record(ledger, *[Failure(tasks[name].lease, "no such word") for name in "fx"])
    await record(ledger, *echo([tasks[name] for name in "mdn"]))
    await ledger.cancel("x")
    store.clock.advance(60.0)
    ended = store.clock.wall()
    await ledger.complete("f", force=True)
    for endpoint, names in (("a", "mdf"), ("b", "m")):
        done = [one for one in await due(ledger, endpoint) if one.resource_id in names]
        await ledger.record_attempts([delivered(one) if one.resource_id != "f" else dead(one) for one in done])
    assert await found(ledger, limit=limit) == "oxndfm"
    assert await found(ledger, limit=limit, newest=False) == "mfdnxo"
    assert await found(ledger, limit=limit, failed=True) == "xf"
    assert await found(ledger, limit=limit, state=State.INCOMPLETE, newest=False) == "f"
    assert await found(ledger, limit=limit, state=State.CANCELLED, failed=True) == "x"
    assert await found(ledger, limit=limit, state=State.COLLATED) == "ndm"
    assert await found(ledger, limit=limit, prefix="d") == "d"
    assert await found(ledger, limit=limit, opened_since=times["d"], opened_until=times["x"]) == "xnd"
    assert await found(ledger, limit=limit, ended_since=ended) == "f"
    assert await found(ledger, limit=limit, ended_until=ended - 1.0, newest=False) == "mdnx"
    assert sorted(await found(ledger, limit=limit, undelivered=True)) == ["d", "f"]
    assert await found(ledger, limit=limit, undelivered=True, state=State.INCOMPLETE, newest=False) == "f"
    (line,) = (await ledger.search(ResourceSearch(state=State.INCOMPLETE))).resources
    assert (line.opened_at, line.closed_at, line.failed) == (rfc3339(times["f"]), rfc3339(ended), 1)


async def test_a_search_goes_on_where_a_page_ended_alone(ledger: Ledger) -> None:
    await offer(ledger, packet("r"))
    with pytest.raises(Malformed):
        await ledger.search(ResourceSearch(), after="nonsense")
