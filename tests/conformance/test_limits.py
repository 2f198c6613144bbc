"""Limits: what is refused is refused whole, says why and when to come again, and leaves nothing behind (R9, P5)."""

from __future__ import annotations

import pytest

from collator.errors import Unknown
from collator.messages import Batch, Counts, Recorded, Retry, tasks_of
from collator.packet import Status
from collator.rules.footprint import of_packet, of_resource
from collator.rules.resource import LedgerLimits
from collator.states import OnFailure
from tests.conformance.steps import (
    claim,
    due,
    echo,
    fail,
    finish,
    offer,
    outputs,
    packet,
    packets,
    process,
    record,
    send,
)
from tests.conformance.store import Store

ACCEPTED, DUPLICATE, REFUSED = Status.ACCEPTED, Status.DUPLICATE, Status.REFUSED
LIMIT = 1500


async def test_r9_a_limit_on_open_resources_refuses_new_ids_only(store: Store) -> None:
    ledger = await store.open(LedgerLimits(max_open=2))
    await send(ledger, packet("a", 0), packet("b", 0))
    assert await send(ledger, packet("c", 0), packet("a", 1), packet("b", 0)) == [REFUSED, ACCEPTED, DUPLICATE]


async def test_r9_the_limit_on_open_resources_holds_within_a_batch(store: Store) -> None:
    ledger = await store.open(LedgerLimits(max_open=1))
    assert await send(ledger, packet("a", 0), packet("b", 0), packet("a", 1)) == [ACCEPTED, REFUSED, ACCEPTED]


async def test_r9_a_refusal_says_why_and_when_to_try_again(store: Store) -> None:
    ledger = await store.open(LedgerLimits(max_open=1))
    _, refusal = await offer(ledger, packet("a", 0), packet("b", 0))
    assert refusal.reason
    assert refusal.retry_after is not None
    assert refusal.retry_after > 0


async def test_r9_nothing_of_what_was_refused_is_stored(store: Store) -> None:
    ledger = await store.open(LedgerLimits(max_open=1))
    accepted = await ledger.accept(Batch([packet("a", 0), packet("b", 0)]).groups, capacity=0)
    assert accepted.waiting == 1
    with pytest.raises(Unknown):
        await ledger.resource("b")
    assert await ledger.counts() == Counts(
        open=1, waiting=1, backlog=of_packet(1) + of_resource("a", None), open_bytes=of_resource("a", None)
    )


async def test_r9_room_for_a_new_id_comes_when_another_ends(store: Store) -> None:
    ledger = await store.open(LedgerLimits(max_open=1))
    await finish(ledger, "a")
    assert await send(ledger, packet("b", 0), packet("c", 0)) == [ACCEPTED, REFUSED]
    await ledger.cancel("b")
    assert await send(ledger, packet("c", 0)) == [ACCEPTED]


async def test_r9_an_ended_id_answers_as_ever_at_the_limit(store: Store) -> None:
    ledger = await store.open(LedgerLimits(max_open=1))
    await finish(ledger, "a")
    assert await send(ledger, packet("b", 0), packet("a", 0), packet("a", 9)) == [ACCEPTED, DUPLICATE, Status.CLOSED]


async def test_r9_the_limit_on_open_resources_outlives_the_process(store: Store) -> None:
    await send(await store.open(LedgerLimits(max_open=1)), packet("a", 0))
    assert await send(await store.reopen(), packet("b", 0)) == [REFUSED]
    assert await send(await store.crash(), packet("b", 0), packet("a", 1)) == [REFUSED, ACCEPTED]


async def test_r9_a_backlog_beyond_its_limit_refuses_everything_new(store: Store) -> None:
    ledger = await store.open(LedgerLimits(max_backlog=LIMIT))
    await send(ledger, packet("r", 0, b'"%s"' % (b"x" * 598)), packet("r", 1, b'"%s"' % (b"x" * 598)))
    assert await send(ledger, packet("r", 2, b'"%s"' % (b"x" * 598))) == [REFUSED]
    assert await send(ledger, packet("s", 0, b'"%s"' % (b"x" * 598))) == [REFUSED]
    with pytest.raises(Unknown):
        await ledger.resource("s")


async def test_r9_the_backlog_never_grows_far_beyond_its_limit_within_a_batch(store: Store) -> None:
    ledger = await store.open(LedgerLimits(max_backlog=LIMIT))
    statuses = await send(ledger, *(packet("r", index, b'"%s"' % (b"x" * 398)) for index in range(50)))
    assert statuses.count(ACCEPTED) in {2, 3}
    assert (await ledger.counts()).backlog <= LIMIT + of_resource("r", None)


@pytest.mark.parametrize("ending", ["output", "failure", "cancel", "force"])
async def test_r9_a_backlog_that_shrank_takes_packets_again(store: Store, ending: str) -> None:
    ledger = await store.open(LedgerLimits(max_backlog=LIMIT))
    await send(ledger, packet("r", 0, b'"%s"' % (b"x" * 998)), packet("r", 1, b'"%s"' % (b"x" * 998)))
    match ending:
        case "output":
            await process(ledger)
        case "failure":
            await fail(ledger)
        case "cancel":
            await ledger.cancel("r")
        case _:
            await ledger.complete("r", force=True)
    assert await send(ledger, packet("s", 0, b'"%s"' % (b"x" * 998))) == [ACCEPTED]


async def test_r9_the_limit_on_the_backlog_outlives_the_process(store: Store) -> None:
    ledger = await store.open(LedgerLimits(max_backlog=LIMIT))
    await send(ledger, packet("r", 0, b'"%s"' % (b"x" * 598)), packet("r", 1, b'"%s"' % (b"x" * 598)))
    ledger = await store.crash()
    assert await send(ledger, packet("r", 2, b'"%s"' % (b"x" * 598))) == [REFUSED]


@pytest.mark.one_ledger("each ledger has a bound of its own")
async def test_r9_ids_and_metadata_of_open_resources_are_backlog_too(store: Store) -> None:
    ledger = await store.open(LedgerLimits(max_backlog=10_000))
    given = [packet(f"{number}", 0, metadata=b'{"a":"%s"}' % (b"x" * 2000)) for number in range(10)]
    statuses = await send(ledger, *given)
    assert statuses == [ACCEPTED, ACCEPTED, *[REFUSED] * 8]
    await process(ledger)
    assert await send(ledger, given[2]) == [REFUSED]  # what is open takes its place until it ends
    assert await send(ledger, packet("0", 1), packet("1", 0)) == [ACCEPTED, DUPLICATE]
    await ledger.cancel("0")
    assert await send(ledger, given[2]) == [ACCEPTED]
    await ledger.cancel("1")
    await ledger.cancel("2")
    counts = await ledger.counts()
    assert (counts.backlog, counts.open_bytes) == (0, 0)


@pytest.mark.one_ledger("each ledger has a bound of its own")
@pytest.mark.parametrize("again", [0, 1], ids=["with a repeat", "with a new packet"])
async def test_r9_metadata_that_comes_late_is_backlog_too(store: Store, again: int) -> None:
    ledger = await store.open(LedgerLimits(max_backlog=10_000))
    await send(ledger, *(packet(f"{number}", 0) for number in range(5)))
    late = [packet(f"{number}", again, metadata=b'{"a":"%s"}' % (b"x" * 3000)) for number in range(5)]
    statuses = await send(ledger, *late)
    assert statuses == [DUPLICATE if again == 0 else ACCEPTED] * 2 + [REFUSED] * 3
    counts = await ledger.counts()
    assert counts.backlog <= 10_000
    assert counts.open_bytes == sum(
        of_resource(f"{number}", bytes(late[number].metadata) if number < 2 else None) for number in range(5)
    )
    for number in range(5):
        await ledger.cancel(f"{number}")
    assert (await ledger.counts()).backlog == 0


@pytest.mark.parametrize("end", ["output", "cancel", "force", "retry"])
async def test_r9_what_was_counted_is_given_back_to_the_byte(store: Store, end: str) -> None:
    ledger = await store.open(LedgerLimits(on_failure=OnFailure.HOLD))
    sizes = [1, 2, 1023, 1024, 1025, 2047, 2048, 2049, 4096, 4097, 10_000]
    given = [packet("r\u00e9", index, b"1".rjust(size)) for index, size in enumerate(sizes)]
    await send(ledger, *given, packet("r\u00e9", 0, b"1", metadata=b'{"a":"%s"}' % (b"x" * 1000)))
    whole = (await ledger.counts()).backlog
    match end:
        case "output":
            await process(ledger)
        case "retry":
            await fail(ledger)
            await ledger.retry("r\u00e9")
            assert (await ledger.counts()).backlog == whole
    await (ledger.complete("r\u00e9", force=True) if end == "force" else ledger.cancel("r\u00e9"))
    counts = await ledger.counts()
    assert (counts.backlog, counts.open_bytes, counts.waiting) == (0, 0, 0)


@pytest.mark.one_ledger("each ledger has a bound of its own")
async def test_r13_what_open_resources_take_stops_no_time_as_only_their_end_frees_it(store: Store) -> None:
    ledger = await store.open(LedgerLimits(max_backlog=1000, idle_timeout=100.0))
    for number in range(7):
        assert await send(ledger, packet(f"{number}", 0)) == [ACCEPTED]
        await process(ledger)
    assert await send(ledger, packet("new", 0)) == [REFUSED]
    await ledger.expire(accepting=True, limit=10, capacity={})
    store.clock.advance(101)
    assert (await ledger.expire(accepting=True, limit=10, capacity={})).closed > 0
    assert await send(ledger, packet("new", 0)) == [ACCEPTED]


async def test_p5_nothing_that_was_accepted_is_ever_evicted(store: Store) -> None:
    ledger = await store.open(LedgerLimits(max_open=1, max_backlog=1000))
    statuses = await send(ledger, *packets(100, last=False), packet("late", 0))
    await process(ledger)
    assert [index for index, _ in await outputs(ledger, "r")] == [
        index for index, status in enumerate(statuses) if status is ACCEPTED
    ]


@pytest.mark.one_holder
async def test_p5_payloads_handed_out_are_bounded_and_the_rest_waits(store: Store) -> None:
    ledger = await store.open(LedgerLimits(max_leased=100))
    given = [packet("r", index, b'"%s"' % (b"x" * 38)) for index in range(5)]
    tasks = tasks_of((await ledger.accept(Batch(given).groups, capacity=5)).runs)
    for _ in range(5):
        assert sum(len(task.payload) for task in tasks) <= 100
        await record(ledger, *echo(tasks))
        tasks = await claim(ledger)
    assert len(await outputs(ledger, "r")) == 5


@pytest.mark.one_holder
@pytest.mark.parametrize("end", ["released", "recorded", "retried", "lost", "closed"])
async def test_p5_payloads_that_are_given_back_make_room_for_others(store: Store, end: str) -> None:
    ledger = await store.open(LedgerLimits(max_leased=80, task_lease=30.0))
    given = [packet("r", index, b'"%s"' % (b"x" * 38)) for index in range(12)]
    assert await send(ledger, *given) == [ACCEPTED] * 12
    for _ in range(4):
        tasks = await claim(ledger)
        assert len(tasks) == 2, "40 bytes each, and 80 may be handed out"
        match end:
            case "released":
                await ledger.release([task.lease for task in tasks])
            case "recorded":
                await record(ledger, *echo(tasks))
            case "retried":
                await record(ledger, *(Retry(task.lease, "busy", 3_600.0) for task in tasks))
            case "lost":
                store.clock.advance(31)
            case _:
                await ledger.cancel("r")
                assert await record(ledger, *echo(tasks)) == [Recorded.CLOSED] * 2
                await ledger.purge(limit=1_000, resource_id="r")
                await send(ledger, *given)


@pytest.mark.one_holder
async def test_p5_the_limit_on_payloads_handed_out_is_exact_at_an_acceptance(store: Store) -> None:
    ledger = await store.open(LedgerLimits(max_leased=80))
    given = [packet("r", index, b'"%s"' % (b"x" * 38)) for index in range(3)]
    assert len(tasks_of((await ledger.accept(Batch(given).groups, capacity=3)).runs)) == 2


async def test_p5_no_delivery_is_handed_out_beyond_the_room(store: Store) -> None:
    ledger = await store.open()
    for name in "abc":
        await finish(ledger, name)
    assert len(await due(ledger, capacity=0)) == 0
    assert len(await due(ledger, capacity=2)) == 2
    assert len(await due(ledger, capacity=2)) == 1
