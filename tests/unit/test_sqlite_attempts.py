"""Recording of attempts on SQLite: what is read of deliveries, and what a first attempt goes by that reads nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from msgspec import Raw

from collator.ledgers.sqlite import SqliteLedger, open_ledger
from collator.ledgers.sqlite.store import Store
from collator.messages import Attempt, Batch, Delivery, DeliveryFilter, Output, tasks_of
from collator.packet import Packet
from collator.rules.resource import LedgerLimits
from collator.states import DeliveryState
from collator.testing import ManualClock

DELIVERED, DUE = DeliveryState.DELIVERED, DeliveryState.DUE


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[SqliteLedger]:
    """A ledger whose resources go to two endpoints."""
    made = await open_ledger(
        tmp_path, ledger_limits=LedgerLimits(), clock=ManualClock(), route=lambda _: ["one", "other"]
    )
    yield made
    await made.aclose()


@pytest.fixture
def asked(ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements whose answer is read."""
    del ledger  # it is open
    names: list[str] = []
    value = Store.value

    def counted(store: Store, name: str, *parameters: object) -> object:
        names.append(name)
        return value(store, name, *parameters)

    monkeypatch.setattr(Store, "value", counted)
    return names


async def _finish(ledger: SqliteLedger, *names: str, leased: int) -> Sequence[Delivery]:
    """End resources of one packet each, with *leased* of the deliveries of endpoint ``one``."""
    packets = [Packet(name, 0, Raw(b"1"), last=True) for name in names]
    accepted = await ledger.accept(Batch(packets).groups, capacity=len(packets))
    results = [Output(task.lease, b"[1]") for task in tasks_of(accepted.runs)]
    return (await ledger.record(results, capacity={"one": leased})).deliveries


async def test_nothing_is_read_of_a_delivery_that_was_never_attempted(ledger: SqliteLedger, asked: list[str]) -> None:
    first = await _finish(ledger, "a", "b", leased=1)
    (claimed,) = await ledger.claim_deliveries("one", capacity=1)
    asked.clear()
    assert await ledger.record_attempts([Attempt(one, DELIVERED) for one in first]) == [True]
    assert await ledger.record_attempts([Attempt(claimed, DUE, "HTTP 500")]) == [True]
    assert asked == []
    (again,) = await ledger.claim_deliveries("one", capacity=1)
    asked.clear()
    assert await ledger.record_attempts([Attempt(again, DELIVERED)]) == [True]
    assert asked == ["delivery_states"]


async def test_r24_what_was_put_off_is_stored_at_its_first_attempt_as_if_it_never_was(ledger: SqliteLedger) -> None:
    (put_off,) = await _finish(ledger, "a", leased=1)
    for reason in ("its endpoint is paused", "breaker open"):
        assert await ledger.record_attempts([Attempt(put_off, DUE, reason, counted=False)]) == [True]
        (put_off,) = await ledger.claim_deliveries("one", capacity=1)
    assert await ledger.record_attempts([Attempt(put_off, DELIVERED, "HTTP 200", seconds=0.5)]) == [True]
    (found,) = (await ledger.deliveries(DeliveryFilter(endpoint="one"), limit=9)).deliveries
    assert (found.state, found.attempts, found.reason) == (DELIVERED, 1, "HTTP 200")


async def test_r24_a_first_attempt_is_stored_as_one_that_was_read(ledger: SqliteLedger) -> None:
    first, second, third = await _finish(ledger, "a", "b", "c", leased=3)
    put_off = Attempt(first, DUE, "its endpoint is paused", counted=False)
    failed = Attempt(second, DUE, "HTTP 500", 1.0, seconds=0.5)
    same = Attempt(third, DELIVERED, "HTTP 200")
    assert await ledger.record_attempts([same, put_off, same, failed]) == [True, True, False, True]
    found = (await ledger.deliveries(DeliveryFilter(endpoint="one"), limit=9)).deliveries
    said = {one.resource_id: (one.state, one.attempts, one.reason) for one in found}
    assert said == {
        "a": (DUE, 0, "its endpoint is paused"),
        "b": (DUE, 1, "HTTP 500"),
        "c": (DELIVERED, 1, "HTTP 200"),
    }
    assert (await ledger.counts()).due == 2 + 3  # those to the other endpoint are untouched


async def test_r25_the_log_of_attempts_goes_with_its_resource(ledger: SqliteLedger) -> None:
    for name, failures in (("once", 0), ("again", 2)):
        (delivery,) = await _finish(ledger, name, leased=1)
        for _ in range(failures):
            await ledger.record_attempts([Attempt(delivery, DUE)])
            (delivery,) = await ledger.claim_deliveries("one", capacity=1)
        await ledger.record_attempts([Attempt(delivery, DELIVERED)])
    await ledger.record_attempts(
        [Attempt(one, DELIVERED) for one in await ledger.claim_deliveries("other", capacity=9)]
    )
    assert logged(ledger) == 2
    for name in ("once", "again"):
        await ledger.purge(limit=1000, resource_id=name)
        await ledger.purge(limit=1000)
        assert logged(ledger) == (2 if name == "once" else 0)


def logged(ledger: SqliteLedger) -> int:
    """The attempts in the log."""
    return len(ledger._store.connection.execute("select * from delivery_log").fetchall())
