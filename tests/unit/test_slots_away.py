"""Two ledgers as one, of which one is away for a while: nothing of the other waits for it, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path

import pytest

from collator.delivery import outcome_recorder
from collator.delivery.outcome_recorder import OutcomeRecorder
from collator.errors import Unavailable
from collator.ledgers.slots import SlottedLedger
from collator.ledgers.slots.absent import AbsentBackend
from collator.ledgers.slots.places import slot_of
from collator.ledgers.sqlite import SqliteLedger
from collator.messages import (
    Act,
    AnyResult,
    Attempt,
    Batch,
    Delivery,
    DeliveryFilter,
    Output,
    ReceiverAnswer,
    Result,
    Retry,
    RunOutputs,
    results_of,
)
from collator.metrics import Metrics
from collator.rules.resource import LedgerLimits
from collator.states import DeliveryState
from collator.workers import reports
from collator.workers.failures import FailedAttempts
from collator.workers.reports import ResultRecorder
from collator.workers.result_bytes import ResultBytes
from tests.conformance.slots_harness import OnePart
from tests.conformance.sqlite_harness import SqliteHarness
from tests.conformance.steps import claim, delivered, due, finish, packet, packets, send
from tests.wait import until

HERE, AWAY = "d", "a"
"""Resources of the first ledger and of the second."""


class Two:
    """Two ledgers as one; the second is away where it is said so."""

    def __init__(self, ledgers: Sequence[SqliteLedger]) -> None:
        """Both are there."""
        self.away: Unavailable | None = None
        parts = [OnePart(ledgers[0], lambda: None), OnePart(ledgers[1], lambda: self.away)]
        self.ledger = SlottedLedger(parts, task_lease=30.0)
        self.parts = ledgers


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    assert (slot_of(HERE, 2), slot_of(AWAY, 2)) == (0, 1)
    stores = [SqliteHarness(tmp_path / str(number)) for number in range(2)]
    ledgers = [await store.open(LedgerLimits(), lambda _: ["default"]) for store in stores]
    yield Two(ledgers)
    for ledger in ledgers:
        await ledger.aclose()


class Taker:
    """Takes what a step leaves to do."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.deliveries: list[Delivery] = []
        self.results: list[Result] = []

    def capacity(self) -> dict[str, int]:
        """Plenty."""
        return {"default": 64}

    def take(self, deliveries: Sequence[Delivery], endpoints: Iterable[str]) -> None:
        """Keep *deliveries*."""
        assert not [*endpoints]
        self.deliveries += deliveries

    async def refresh(self) -> None:
        """Never called."""

    async def try_now(self, endpoint: str) -> bool:
        """Never called."""
        raise NotImplementedError

    async def test(self, endpoint: str) -> ReceiverAnswer:
        """Never called."""
        raise NotImplementedError

    def under_way(self) -> dict[str, int]:
        """Nothing is."""
        return {}

    def next_try(self, endpoint: str) -> float | None:
        """Never called."""

    def why(self, endpoint: str) -> str | None:
        """Never called."""

    def recorded(self, reports: Sequence[AnyResult], *, due: bool) -> None:
        """The ledger has *reports*."""
        del due
        self.results += results_of(reports)


class Recording:
    """A recorder of results at work."""

    def __init__(self, two: Two) -> None:
        """Record in *two*."""
        self.taker = Taker()
        self.unrecorded = ResultBytes()
        self.recorder = ResultRecorder(
            two.ledger,
            self.taker,
            self.unrecorded,
            metrics=Metrics(),
            recorded=self.taker.recorded,
            failures=FailedAttempts(),
        )
        self._task = asyncio.create_task(self.recorder.run())

    def add(self, *outputs: Output) -> None:
        """Have *outputs* recorded."""
        size = sum(len(output.output) for output in outputs)
        self.unrecorded.add(size, len(outputs))
        self.recorder.add([*outputs], size)

    async def stop(self) -> None:
        """End."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@pytest.fixture
async def recording(two: Two, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Recording]:
    monkeypatch.setattr(reports, "AGAIN", 0.01)
    recording = Recording(two)
    yield recording
    await recording.stop()


async def test_results_wait_for_the_ledger_that_is_away_and_for_no_other(two: Two, recording: Recording) -> None:
    await send(two.ledger, packet(HERE, 0, last=True), packet(AWAY, 0, last=True))
    results = [Output(task.lease, b"1") for task in await claim(two.ledger)]
    two.away = Unavailable("away")
    recording.add(*results)
    await until(lambda: recording.taker.results)
    assert [delivery.resource_id for delivery in recording.taker.deliveries] == [HERE]
    assert (recording.recorder.size, len(recording.unrecorded)) == (1, 0)  # what waits keeps no call from being begun
    assert len(recording.recorder.leases()) == 1
    two.away = None
    await recording.recorder.flush()
    assert {delivery.resource_id for delivery in recording.taker.deliveries} == {HERE, AWAY}
    assert (recording.recorder.size, recording.recorder.leases()) == (0, [])


async def test_outputs_of_a_run_wait_for_the_ledger_that_is_away_packet_by_packet(
    two: Two, recording: Recording
) -> None:
    packets = [packet(AWAY, 0), packet(AWAY, 1, last=True)]
    (run,) = (await two.ledger.accept(Batch(packets).groups, capacity=2)).runs
    two.away = Unavailable("away")
    recording.unrecorded.add(2, 2)
    recording.recorder.add([RunOutputs(run.lease, [b"1", b"2"])], 2)
    await until(lambda: len(recording.unrecorded) == 0)
    assert recording.recorder.leases() == run.leases()
    assert recording.recorder.size == 2
    two.away = None
    await recording.recorder.flush()
    assert [delivery.resource_id for delivery in recording.taker.deliveries] == [AWAY]
    assert recording.recorder.size == 0


async def test_outputs_for_which_there_is_no_room_are_made_again_and_use_up_no_attempt(
    two: Two, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "ASIDE", 10)
    await send(two.ledger, packet(AWAY, 0, last=False), packet(AWAY, 1, last=True))
    first, second = [Output(task.lease, b'"%s"' % (b"x" * 6)) for task in await claim(two.ledger)]
    two.away = Unavailable("away")
    recording.add(first)
    await until(lambda: recording.recorder.size == 1 and not len(recording.unrecorded))
    recording.add(second)
    await until(lambda: recording.recorder.size == 2 and not len(recording.unrecorded))
    two.away = None
    await recording.recorder.flush()
    assert sorted(type(result) is Retry for result in recording.taker.results) == [False, True]
    (again,) = await claim(two.ledger)
    assert again.attempt == 1


async def test_where_all_are_away_results_wait_as_for_a_single_ledger(two: Two) -> None:
    await send(two.ledger, packet(AWAY, 0))
    (task,) = await claim(two.ledger)
    two.ledger = SlottedLedger([OnePart(one, lambda: Unavailable("away")) for one in two.parts], task_lease=30.0)
    with pytest.raises(Unavailable):
        await two.ledger.record([Output(task.lease, b"1")], capacity={})


async def test_attempts_wait_for_the_ledger_that_is_away_and_for_no_other(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome_recorder, "_ASIDE", 0.01)
    for name in (HERE, AWAY):
        await finish(two.ledger, name)
    settled: list[Attempt] = []
    recorder = OutcomeRecorder(two.ledger, settled.extend)
    here, away = sorted(await due(two.ledger), key=lambda delivery: delivery.resource_id == AWAY)
    two.away = Unavailable("away")
    recorder.add([delivered(away)])
    recorder.add([delivered(here)])
    await until(lambda: settled)
    assert [attempt.delivery.resource_id for attempt in settled] == [HERE]
    two.away = None
    await recorder.finish(30)
    assert len(settled) == 2
    states = [(await two.ledger.resource(name)).deliveries[0].state for name in (HERE, AWAY)]
    assert states == [DeliveryState.DELIVERED] * 2


async def test_packets_are_taken_and_handed_out_though_one_is_away(two: Two) -> None:
    await send(two.ledger, packet(AWAY, 0))
    two.away = Unavailable("away", retry_after=7.0)
    batch = Batch([packet(HERE, 0), packet(AWAY, 1)])
    accepted = await two.ledger.accept(batch.groups, capacity=0)
    assert {receipt.retry_after for receipt in accepted.receipts} == {None, 7.0}
    assert [task.key.resource_id for task in await claim(two.ledger, 1)] == [HERE]
    assert not await claim(two.ledger)
    with pytest.raises(Unavailable):
        await two.ledger.accept(Batch([packet(AWAY, 1)]).groups, capacity=0)
    with pytest.raises(Unavailable):
        await two.ledger.resources()


async def test_much_to_delete_in_one_ledger_does_not_wait_for_the_next_round(tmp_path: Path) -> None:
    """A round goes on as long as a call has removed as much as it may, whichever ledger that was in."""
    stores = [SqliteHarness(tmp_path / str(number)) for number in range(2)]
    ledgers = [await store.open(LedgerLimits(retention=100.0), lambda _: []) for store in stores]
    both = Two(ledgers)
    await send(both.ledger, *packets(40, HERE))
    await both.ledger.cancel(HERE)
    for store in stores:
        store.clock.advance(101)
    assert await both.ledger.purge(limit=10) >= 10
    for ledger in ledgers:
        await ledger.aclose()


async def test_a_packet_that_is_to_be_alone_holds_up_nothing_while_its_ledger_is_away(tmp_path: Path) -> None:
    stores = [SqliteHarness(tmp_path / str(number)) for number in range(2)]
    ledgers = [await store.open(LedgerLimits(), lambda _: []) for store in stores]
    await ledgers[1].accept(Batch([packet(AWAY, 0)]).groups, capacity=1)
    ledgers[1].abandon()
    ledgers[1] = await stores[1].open(LedgerLimits(), lambda _: [])
    two = Two(ledgers)
    assert len((await two.ledger.accept(Batch([packet(HERE, 0), packet(HERE, 1)]).groups, capacity=1)).runs) == 1
    assert not await claim(two.ledger)  # it waits for this one to end, and others for it
    two.away = Unavailable("away")
    assert [(task.key.resource_id, task.key.index) for task in await claim(two.ledger)] == [(HERE, 1)]
    two.away = None
    for ledger in ledgers:
        await ledger.aclose()


async def test_a_replay_of_many_says_what_it_did_before_a_ledger_that_is_away_and_then_why(two: Two) -> None:
    for name in (HERE, AWAY):
        await finish(two.ledger, name)
    await two.ledger.record_attempts([delivered(delivery) for delivery in await due(two.ledger)])
    apart = SlottedLedger([OnePart(two.parts[0], lambda: None), AbsentBackend(Unavailable("away"))], task_lease=30.0)
    step = await apart.replay(DeliveryFilter())
    assert (step.replayed, *step.endpoints) == (1, "default")
    with pytest.raises(Unavailable, match="away"):
        await apart.replay(DeliveryFilter(), after=step.after or "")
    assert (await two.ledger.replay(DeliveryFilter(), after=step.after or "")).replayed == 1
    with pytest.raises(Unavailable, match="away"):  # there is nothing to tell of the first
        await apart.replay(DeliveryFilter())


async def test_an_act_in_several_ledgers_counts_what_each_has_changed_and_a_pause_once(two: Two) -> None:
    for name in (HERE, AWAY):
        await finish(two.ledger, name)
    act, pause = (Act(who="ann", peer="", verb=verb, target="default") for verb in ("replay", "pause"))
    with two.ledger.audited(pause):
        assert await two.ledger.pause("default", reason="later")
    await two.ledger.resume("default")
    await two.ledger.record_attempts([delivered(delivery) for delivery in await due(two.ledger)])
    with two.ledger.audited(act):
        assert (await two.ledger.replay(DeliveryFilter())).replayed == 2
    assert (pause.changed, act.changed) == (1, 2)
    records = (await two.ledger.audit()).records
    assert sorted((record.verb, record.changed) for record in records) == [("pause", 1), ("replay", 1), ("replay", 1)]
