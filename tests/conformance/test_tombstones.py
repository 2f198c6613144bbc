"""What is gone after its retention is remembered for a time: a late packet does not open it anew (R8, R25)."""

from __future__ import annotations

import pytest

from collator.errors import Conflict, Unknown
from collator.messages import Counts
from collator.packet import Status
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Ledger
from collator.states import State
from tests.conformance.steps import drain, due, fail, finish, listed, offer, packet, packets, process, purge, send
from tests.conformance.store import Store

TERMS = LedgerLimits(retention=100.0, remember=1000.0)
ACCEPTED, DUPLICATE, CLOSED, REFUSED = Status.ACCEPTED, Status.DUPLICATE, Status.CLOSED, Status.REFUSED


async def gone(store: Store, ledger: Ledger) -> None:
    """Deliver what is due, and let the retention of all that has ended pass."""
    await drain(ledger)
    store.clock.advance(101)
    assert await purge(ledger)
    assert await ledger.resources() == []


@pytest.mark.parametrize("restart", ["no", "reopen", "crash"])
async def test_r25_a_repeat_after_retention_is_a_duplicate_and_sends_nothing(store: Store, restart: str) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger, "r", [b"0", b"1"])
    await gone(store, ledger)
    if restart != "no":
        ledger = await (store.crash if restart == "crash" else store.reopen)()
    late = [packet("r", 0), packet("r", 1, b'"other bytes"', last=True), packet("r", 0, metadata=b'{"a":1}')]
    assert await send(ledger, *late, packet("r", 2)) == [DUPLICATE, DUPLICATE, DUPLICATE, CLOSED]
    await process(ledger)
    assert await due(ledger) == []
    assert await ledger.counts() == Counts(remembered=1)


async def test_r25_gaps_of_an_incomplete_resource_stay_closed(store: Store) -> None:
    ledger = await store.open(TERMS)
    await send(ledger, *(packet("r", index) for index in (0, 1, 3, 6, 7)))
    await fail(ledger)
    await ledger.complete("r", force=True)
    await gone(store, ledger)
    receipts = await offer(ledger, *(packet("r", index, b'"late"') for index in range(9)))
    assert [index for index, receipt in enumerate(receipts) if receipt.status is DUPLICATE] == [0, 1, 3, 6, 7]
    assert [index for index, receipt in enumerate(receipts) if receipt.status is CLOSED] == [2, 4, 5, 8]
    assert receipts[2].reason == "the resource has ended (incomplete) and never received index 2"


async def test_r25_a_cancelled_and_an_empty_resource_are_remembered_too(store: Store) -> None:
    ledger = await store.open(TERMS)
    await send(ledger, packet("cancelled", 5))
    await ledger.cancel("cancelled")
    await ledger.complete("empty", total=0)
    await gone(store, ledger)
    late = [packet("cancelled", 5), packet("cancelled", 0), packet("empty", 0)]
    assert await send(ledger, *late) == [DUPLICATE, CLOSED, CLOSED]


async def test_r25_what_is_asked_of_it_is_answered_in_words(store: Store) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger, "r", [b"0", b"1"])
    await gone(store, ledger)
    asked = [ledger.resource("r"), ledger.outputs("r"), ledger.outcomes("r"), ledger.cancel("r"), ledger.retry("r")]
    asked += [ledger.complete("r", total=2), ledger.complete("r", total=0), ledger.complete("r", force=True)]
    for look in asked:
        with pytest.raises(
            Unknown, match=r"'r' has ended \(collated, total 2\) at 2026-.* removed after its retention"
        ):
            await look
    assert await listed(ledger) == []
    assert await ledger.counts() == Counts(remembered=1)


async def test_r25_a_person_frees_the_id_at_once(store: Store) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger, "r")
    await gone(store, ledger)
    await ledger.purge(limit=1_000, resource_id="r")
    assert await ledger.counts() == Counts()
    with pytest.raises(Unknown, match="never seen, or was purged"):
        await ledger.purge(limit=1_000, resource_id="r")
    assert await send(ledger, packet("r", 0, b'"new"', last=True)) == [ACCEPTED]
    with pytest.raises(Conflict, match="open"):
        await ledger.purge(limit=1_000, resource_id="r")


@pytest.mark.parametrize("stop", ["no", "crash"])
async def test_r25_what_a_person_purges_in_slices_is_not_remembered(store: Store, stop: str) -> None:
    ledger = await store.open(TERMS)
    await send(ledger, *packets(100))
    await process(ledger)
    await drain(ledger)
    await ledger.purge(limit=10, resource_id="r")
    if stop == "crash":
        ledger = await store.crash()
    await purge(ledger, limit=10)
    assert await ledger.counts() == Counts()
    assert await send(ledger, packet("r", 0)) == [ACCEPTED]


async def test_r25_what_is_remembered_is_forgotten_in_time(store: Store) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger, "old")
    await gone(store, ledger)
    store.clock.advance(500)
    await finish(ledger, "young")
    await gone(store, ledger)
    ledger = await store.reopen(down=398)
    assert await purge(ledger) == 0
    assert await send(ledger, packet("old", 0), packet("young", 0)) == [DUPLICATE, DUPLICATE]
    store.clock.advance(2)
    assert await purge(ledger) == 1
    assert await send(ledger, packet("old", 0), packet("young", 0)) == [ACCEPTED, DUPLICATE]
    assert (await ledger.counts()).remembered == 1


async def test_r25_what_is_remembered_is_forgotten_in_slices(store: Store) -> None:
    ledger = await store.open(TERMS)
    for number in range(25):
        await finish(ledger, f"r{number}")
    await gone(store, ledger)
    assert await ledger.counts() == Counts(remembered=25)
    store.clock.advance(1001)
    removed = [await ledger.purge(limit=10) for _ in range(4)]
    assert sum(removed) == 25
    assert removed[0] < 25  # several ledgers forget as many each
    assert removed[-1] == 0
    assert await ledger.counts() == Counts()


async def test_r25_nothing_is_remembered_where_that_is_off(store: Store) -> None:
    ledger = await store.open(TERMS)
    await finish(ledger, "before")
    await gone(store, ledger)
    await store.stop_all()
    ledger = await store.open(LedgerLimits(retention=100.0, remember=None))
    await finish(ledger, "r")
    await gone(store, ledger)
    assert await ledger.counts() == Counts()
    assert await send(ledger, packet("r", 0), packet("before", 0)) == [ACCEPTED, ACCEPTED]


async def test_r9_what_is_gone_is_told_so_where_no_other_may_be_open(store: Store) -> None:
    """A limit on open resources refuses new ids, and one that is remembered is none."""
    ledger = await store.open(LedgerLimits(retention=100.0, max_open=1))
    await finish(ledger, "old")
    await gone(store, ledger)
    batch = [packet("first", 0), packet("old", 0), packet("new", 0), packet("old", 1), packet("first", 1)]
    assert await send(ledger, *batch) == [ACCEPTED, DUPLICATE, REFUSED, CLOSED, ACCEPTED]
    assert (await ledger.resource("first")).state is State.OPEN
