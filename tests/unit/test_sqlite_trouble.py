"""The SQLite ledger in trouble: a poisoned group, a full disk, a failed fsync, damaged bytes, a second process."""

from __future__ import annotations

import asyncio
import threading
import traceback
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import closing, contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

import apsw
import pytest
from anyio.lowlevel import checkpoint
from msgspec import Raw
from structlog.testing import capture_logs

from collator.clock import Heartbeat
from collator.errors import Broken, ConfigError, Damaged, Occupied, ReadOnly, SchemaTooNew, StorageFull, Unavailable
from collator.ledgers.batching.calls import Verb
from collator.ledgers.sqlite import SqliteLedger, open_ledger, records, store
from collator.ledgers.sqlite.store import DATABASE
from collator.ledgers.sqlite.writer import STALLED
from collator.messages import Attempt, Batch, Failure, Output, Recorded, Retry, tasks_of
from collator.packet import Packet, PacketLimits, Status, check
from collator.rules.resource import LedgerLimits
from collator.states import DeliveryState, State
from collator.testing import ManualClock
from tests.harness.store import sql
from tests.wait import until

FSYNCS = "collator-failing-fsync"


def packet(resource_id: str, index: int = 0, payload: bytes = b'"x"', *, last: bool = True) -> Packet:
    return check(Packet(resource_id, index, Raw(payload), last), PacketLimits())


async def open_at(path: Path, clock: ManualClock | None = None) -> SqliteLedger:
    return await open_ledger(
        path, ledger_limits=LedgerLimits(), clock=clock or ManualClock(), route=lambda _: ["default"]
    )


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """The database is locked by somebody else, who asks nobody."""
    with closing(apsw.Connection(str(path / DATABASE))) as outsider:
        outsider.execute("begin immediate")
        yield


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[SqliteLedger]:
    ledger = await open_at(tmp_path)
    yield ledger
    await ledger.aclose()


def poison(path: Path) -> None:
    """From now on the store cannot take the payload "poison"."""
    sql(
        path,
        "create trigger poison before insert on packet when new.payload = '\"poison\"' begin"
        " select raise(abort, 'poisoned'); end",
    )


@pytest.mark.parametrize("where", ["file", "file/inside"])
async def test_a_directory_that_cannot_be_made_is_an_error_of_the_configuration(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"is not a directory.*--data-dir"):
        await open_at(tmp_path / where)


async def test_only_the_culprit_of_a_group_gets_its_error(ledger: SqliteLedger, tmp_path: Path) -> None:
    poison(tmp_path)
    calls = [
        ledger.accept(Batch([packet(f"r{n}", payload=b'"poison"' if n == 7 else b'"x"')]).groups, capacity=9)
        for n in range(20)
    ]
    answers = await asyncio.gather(*calls)
    statuses = [answer.receipts[0].status for answer in answers]
    assert statuses == [Status.ERROR if n == 7 else Status.ACCEPTED for n in range(20)]
    assert "poisoned" in str(answers[7].receipts[0].reason)
    assert (await ledger.counts()).waiting == 19
    assert len(await ledger.resources(limit=100)) == 19


async def test_only_the_culprit_of_a_batch_gets_its_error(ledger: SqliteLedger, tmp_path: Path) -> None:
    poison(tmp_path)
    batch = [packet("r", n, b'"poison"' if n == 7 else b'"x"', last=False) for n in range(20)]
    accepted = await ledger.accept(Batch(batch).groups, capacity=100)
    assert [r.status for r in accepted.receipts].count(Status.ERROR) == 1
    assert accepted.receipts[7].status is Status.ERROR
    assert accepted.waiting == 19
    assert (await ledger.resource("r")).missing == [(7, 7)]


async def test_a_store_that_fails_with_everything_tells_each_packet_once(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger._store, "transaction", lambda: 1 / 0)
    accepted = await ledger.accept(Batch([packet("r", n, last=False) for n in range(3)]).groups, capacity=100)
    assert [receipt.status for receipt in accepted.receipts] == [Status.ERROR] * 3


async def test_a_culprit_costs_no_other_resource_of_its_batch(ledger: SqliteLedger, tmp_path: Path) -> None:
    poison(tmp_path)
    places = [(name, index) for name in "abc" for index in range(3)]
    batch = [packet(*place, b'"poison"' if place == ("b", 1) else b'"x"', last=False) for place in places]
    accepted = await ledger.accept(Batch(batch).groups, capacity=0)
    assert [one.status is Status.ACCEPTED for one in accepted.receipts] == [place != ("b", 1) for place in places]
    assert [(await ledger.resource(name)).received for name in "abc"] == [3, 2, 3]


async def test_a_failed_group_leaves_nothing_in_memory(ledger: SqliteLedger, tmp_path: Path) -> None:
    poison(tmp_path)
    await ledger.accept(Batch([packet("bad", payload=b'"poison"')]).groups, capacity=9)
    assert (await ledger.counts()).open == 0
    accepted = await ledger.accept(Batch([packet("good")]).groups, capacity=9)
    assert len(tasks_of(accepted.runs)) == 1
    assert await ledger.renew([tasks_of(accepted.runs)[0].lease]) == [True]


async def test_a_lease_that_ended_in_a_failed_step_ends_in_the_next(tmp_path: Path) -> None:
    clock = ManualClock()
    ledger = await open_at(tmp_path, clock)
    await ledger.accept(Batch([packet("r")]).groups, capacity=1)
    clock.advance(LedgerLimits().task_lease + 1)
    sql(tmp_path, "create trigger t before insert on attempt begin select raise(abort, 'not now'); end")
    with pytest.raises(Broken):
        tasks_of(await ledger.claim(capacity=1))
    sql(tmp_path, "drop trigger t")
    (task,) = tasks_of(await ledger.claim(capacity=1))
    assert task.attempt == 2
    await ledger.aclose()


async def test_only_the_culprit_of_many_attempts_is_sent_again(ledger: SqliteLedger, tmp_path: Path) -> None:
    accepted = await ledger.accept(Batch([packet(f"r{n}") for n in range(10)]).groups, capacity=10)
    outputs = [Output(task.lease, b"[1]") for task in tasks_of(accepted.runs)]
    deliveries = (await ledger.record(outputs, capacity={"default": 10})).deliveries
    sql(
        tmp_path,
        "create trigger t before update on delivery when new.did = 3 begin select raise(abort, 'no'); end",
    )
    settled = await ledger.record_attempts([Attempt(delivery, DeliveryState.DELIVERED) for delivery in deliveries])
    assert settled == [n != 2 for n in range(10)]
    assert (await ledger.counts()).due == 1


async def test_a_claim_in_a_failed_group_gets_what_is_due(ledger: SqliteLedger, tmp_path: Path) -> None:
    poison(tmp_path)
    await ledger.accept(Batch([packet("r")]).groups, capacity=0)
    runs, culprit = await in_one_group(
        ledger,
        ledger.claim(capacity=1),
        ledger.accept(Batch([packet("bad", payload=b'"poison"')]).groups, capacity=0),
    )
    assert culprit.receipts[0].status is Status.ERROR
    assert [run.resource_id for run in runs] == ["r"]


async def test_a_retry_that_fell_due_in_a_failed_group_is_due_in_the_next(tmp_path: Path) -> None:
    clock = ManualClock()
    ledger = await open_at(tmp_path, clock)
    poison(tmp_path)
    (task,) = tasks_of((await ledger.accept(Batch([packet("r")]).groups, capacity=1)).runs)
    await ledger.record([Retry(task.lease, "busy", 5.0)], capacity={})
    clock.advance(6.0)
    runs, culprit = await in_one_group(
        ledger,
        ledger.claim(capacity=1),
        ledger.accept(Batch([packet("bad", payload=b'"poison"')]).groups, capacity=0),
    )
    assert culprit.receipts[0].status is Status.ERROR
    assert [run.resource_id for run in runs] == ["r"]
    await ledger.aclose()


async def test_p5_of_attempts_that_are_over_nothing_is_kept(tmp_path: Path) -> None:
    clock = ManualClock()
    ledger = await open_at(tmp_path, clock)
    accepted = await ledger.accept(Batch([packet(name) for name in "ab"]).groups, capacity=2)
    await ledger.record([Retry(task.lease, "busy", 1.0) for task in tasks_of(accepted.runs)], capacity={})
    clock.advance(1.0)
    one, other = tasks_of(await ledger.claim(capacity=2))
    await ledger.record([Output(one.lease, b"1"), Failure(other.lease, "no")], capacity={})
    await ledger.aclose()
    with closing(apsw.Connection(str(tmp_path / DATABASE))) as database:
        assert database.execute("select count(*) from attempt").get == 0


async def test_p5_outcomes_beside_a_culprit_hand_out_no_more_deliveries_than_there_is_room_for(
    ledger: SqliteLedger, tmp_path: Path
) -> None:
    accepted = await ledger.accept(Batch([packet(f"r{n}") for n in range(10)]).groups, capacity=10)
    sql(
        tmp_path,
        "create trigger t before insert on outrun when new.outputs = '[[3]]' begin select raise(abort, 'no'); end",
    )
    outputs = [Output(task.lease, b"[%d]" % n) for n, task in enumerate(tasks_of(accepted.runs))]
    step = await ledger.record(outputs, capacity={"default": 1})
    assert [status for status in step.statuses if status is not Recorded.RECORDED] == [Recorded.ERROR]
    assert len(step.deliveries) <= 1
    assert step.endpoints == {"default"}


async def test_a_full_disk_refuses_packets_and_lets_work_in_flight_finish(tmp_path: Path) -> None:
    ledger = await open_at(tmp_path)
    accepted = await ledger.accept(Batch([packet("r")]).groups, capacity=1)
    pages = ledger._store.connection.pragma("page_count")
    ledger._store.connection.pragma("max_page_count", pages)
    with pytest.raises(StorageFull) as caught:
        await _fill(ledger)
    assert caught.value.retry_after > 0
    ledger._store.connection.pragma("max_page_count", pages + 20)  # what the deleted reserve gives
    outcome = await ledger.record([Output(tasks_of(accepted.runs)[0].lease, b"[1]")], capacity={"default": 1})
    assert outcome.statuses == [Recorded.RECORDED]
    assert await ledger.record_attempts([Attempt(outcome.deliveries[0], DeliveryState.DELIVERED)]) == [True]
    ledger._store.connection.pragma("max_page_count", 1_000_000)
    ledger._writer._reserve._next_try = 0.0
    assert (await ledger.accept(Batch([packet("later")]).groups, capacity=0)).receipts[0].status is Status.ACCEPTED
    await ledger.aclose()


async def test_a_full_disk_opens_no_resource_without_packets(ledger: SqliteLedger) -> None:
    await ledger.accept(Batch([packet("r")]).groups, capacity=0)
    ledger._writer._reserve.spend()
    ledger._writer._reserve._next_try = float("inf")
    with pytest.raises(StorageFull):
        await ledger.complete("new", total=0)
    assert (await ledger.complete("r", force=True)).closed == 1


async def _fill(ledger: SqliteLedger) -> None:
    for n in range(100):
        await ledger.accept(Batch([packet(f"fill{n}", payload=b'"' + b"x" * 50_000 + b'"')]).groups, capacity=0)


async def test_a_disk_that_fills_up_while_a_culprit_is_sought_undoes_nothing(ledger: SqliteLedger) -> None:
    refuse(ledger, "poison", apsw.ConstraintError)
    refuse(ledger, "full", apsw.FullError)
    accepted = await ledger.accept(Batch([packet("r")]).groups, capacity=1)
    outcome, poisoned, full = await in_one_group(
        ledger,
        ledger.record([Output(tasks_of(accepted.runs)[0].lease, b"[1]")], capacity={"default": 1}),
        ledger.accept(Batch([packet("bad", payload=b'"poison"')]).groups, capacity=0),
        ledger.accept(Batch([packet("late", payload=b'"full"')]).groups, capacity=0),
    )
    assert outcome.statuses == [Recorded.RECORDED], "it was recorded, and told of as if it had come too late"
    assert len(outcome.deliveries) == 1
    assert poisoned.receipts[0].status is Status.ERROR
    assert isinstance(full, StorageFull)


async def test_a_batch_of_which_a_part_meets_a_full_disk_is_told_so_as_a_whole(ledger: SqliteLedger) -> None:
    refuse(ledger, "poison", apsw.ConstraintError)
    refuse(ledger, "full", apsw.FullError)
    payloads = [b'"poison"', b'"full"', b'"x"']
    batch = [packet("r", index, payload, last=False) for index, payload in enumerate(payloads)]
    with pytest.raises(StorageFull):
        await ledger.accept(Batch(batch).groups, capacity=0)


def refuse(ledger: SqliteLedger, payload: str, error: type[apsw.Error]) -> None:
    """From now on the store meets *error* where it is to take *payload*."""

    def fail(*_values: object) -> None:
        raise error

    connection = ledger._store.connection
    connection.create_scalar_function(f"fail_{payload}", fail, 0)
    connection.execute(
        f"create temp trigger {payload} before insert on packet when new.payload = '\"{payload}\"'"
        f" begin select fail_{payload}(); end"
    )


async def in_one_group(ledger: SqliteLedger, *calls: Coroutine[Any, Any, Any]) -> list[Any]:
    """What comes of *calls*, which the writer finds together."""
    hold = threading.Event()
    ledger._writer.post(Verb(lambda _store, _calls: [hold.wait(5)], alone=True), None)
    answers = asyncio.gather(*calls, return_exceptions=True)
    await checkpoint()
    hold.set()
    return await answers


class _Failing(apsw.VFS):
    """The file system of a disk that takes no write once it is told to."""

    failing = False

    def __init__(self) -> None:
        self.real = apsw.vfs_names()[0]
        super().__init__("collator-failing-writes", self.real, makedefault=True)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's
        return _FailingFile(self, name, flags)


class _FailingFile(apsw.VFSFile):
    def __init__(self, vfs: _Failing, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__(vfs.real, name, flags)
        self._vfs = vfs

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802, ANN401 - SQLite's
        if self._vfs.failing:
            error = apsw.IOError("disk I/O error")
            error.extendedresult = apsw.SQLITE_IOERR_WRITE  # type: ignore[attr-defined]
            raise error
        super().xWrite(data, offset)


async def look(ledger: SqliteLedger) -> None:
    """The look that the janitor takes once a second, in good times and bad."""
    with suppress(Unavailable):
        await ledger.expire(accepting=True, limit=10, capacity={})


async def test_p6_a_disk_that_takes_no_write_is_told_until_a_commit_has_succeeded(tmp_path: Path) -> None:
    vfs = _Failing()
    try:
        ledger = await open_at(tmp_path)
        await ledger.accept(Batch([packet("before")]).groups, capacity=0)
        vfs.failing = True
        with capture_logs() as logs:
            for _ in range(20):
                with pytest.raises(Unavailable, match="cannot be written at the moment: the disk fails"):
                    await ledger.accept(Batch([packet("r")]).groups, capacity=0)
                await look(ledger)
        assert "the disk fails" in (ledger.health() or "")
        assert [line["event"] for line in logs] == ["the store cannot be written"]
        vfs.failing = False
        tasks_of(await ledger.claim(capacity=0))
        assert ledger.health(), "a commit of nothing proves nothing"
        await look(ledger)
        assert ledger.health() is None
        assert (await ledger.accept(Batch([packet("r")]).groups, capacity=0)).receipts[0].status is Status.ACCEPTED
        await ledger.aclose()
    finally:
        vfs.unregister()


async def test_p6_a_database_that_an_outsider_locks_is_told_and_costs_no_lease(tmp_path: Path) -> None:
    clock = ManualClock()
    heart = Heartbeat(now=clock.monotonic)
    ledger = await open_ledger(
        tmp_path, ledger_limits=LedgerLimits(), clock=clock, route=lambda _: ["default"], stood_still=heart.stood_still
    )
    ledger._store.connection.set_busy_timeout(1)
    accepted = await ledger.accept(Batch([packet("r"), packet("s")]).groups, capacity=2)
    tasks = tasks_of(accepted.runs)
    (delivery,) = (await ledger.record([Output(tasks[1].lease, b"[1]")], capacity={"default": 1})).deliveries
    with locked(tmp_path):
        for _ in range(45):
            clock.advance(1.0)
            await look(ledger)
        assert "another process has locked the database" in (ledger.health() or "")
    assert not tasks_of(await ledger.claim(capacity=10))
    assert not await ledger.claim_deliveries("default", capacity=10)
    outcome = await ledger.record([Output(tasks[0].lease, b"[1]")], capacity={})
    assert outcome.statuses == [Recorded.RECORDED]
    assert await ledger.record_attempts([Attempt(delivery, DeliveryState.DELIVERED)]) == [True]
    assert ledger.health() is None
    await ledger.aclose()


async def test_p5_a_call_that_is_not_answered_is_told_and_no_other_waits_behind_it(tmp_path: Path) -> None:
    ledger = await open_at(tmp_path)
    assert ledger.refusal() is None
    hold = threading.Event()
    ledger._writer.post(Verb(lambda _store, _calls: [hold.wait(20)], alone=True), None)
    await until(ledger.refusal, STALLED + 5.0)
    assert "the database is locked, for 3 s" in (ledger.health() or "")
    hold.set()
    await until(lambda: ledger.health() is None and ledger.refusal() is None)
    await ledger.aclose()


class _NoSync(apsw.VFS):
    """The file system of a disk whose fsync fails once it is told to."""

    failing = False

    def __init__(self) -> None:
        self.real = apsw.vfs_names()[0]
        super().__init__(FSYNCS, self.real, makedefault=True)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's
        return _NoSyncFile(self, name, flags)


class _NoSyncFile(apsw.VFSFile):
    def __init__(self, vfs: _NoSync, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__(vfs.real, name, flags)
        self._vfs = vfs

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's
        if self._vfs.failing:
            error = apsw.IOError()
            error.extendedresult = apsw.SQLITE_IOERR_FSYNC  # type: ignore[attr-defined]
            raise error
        super().xSync(flags)


async def test_a_failed_fsync_makes_the_ledger_read_only_until_a_restart(tmp_path: Path) -> None:
    vfs = _NoSync()
    try:
        ledger = await open_at(tmp_path)
        await ledger.accept(Batch([packet("before")]).groups, capacity=0)
        vfs.failing = True
        calls = [ledger.accept(Batch([packet(f"r{n}")]).groups, capacity=0) for n in range(5)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(answer, ReadOnly) for answer in answers), "a waiter of the group was not told"
        vfs.failing = False
        with pytest.raises(ReadOnly):
            await ledger.accept(Batch([packet("after")]).groups, capacity=0)
        assert (await ledger.resource("before")).received == 1, "looking goes on"
        ledger.abandon()
        ledger = await open_at(tmp_path)
        assert (await ledger.accept(Batch([packet("after")]).groups, capacity=0)).receipts[0].status is Status.ACCEPTED
        await ledger.aclose()
    finally:
        vfs.unregister()


async def test_an_error_that_is_told_again_and_again_keeps_nothing_of_those_who_were_told(tmp_path: Path) -> None:
    vfs = _NoSync()
    try:
        ledger = await open_at(tmp_path)
        vfs.failing = True
        frames = {await _frames_of_a_refusal(ledger) for _ in range(10)}
        vfs.failing = False
        assert len(frames) == 1
        ledger.abandon()
    finally:
        vfs.unregister()


async def _frames_of_a_refusal(ledger: SqliteLedger) -> int:
    with pytest.raises(ReadOnly) as caught:
        await ledger.accept(Batch([packet("r")]).groups, capacity=0)
    return len([*traceback.walk_tb(caught.value.__traceback__)])


@pytest.mark.parametrize(
    "damaged", ["'\"flipS\"'", "cast(x'22ff6c69707322' as text)", "cast(x'22006c69707322' as text)"]
)
async def test_a_damaged_payload_fails_its_packet_and_no_other(tmp_path: Path, damaged: str) -> None:
    ledger = await open_at(tmp_path)
    await ledger.accept(Batch([packet("r", 0, b'"sound"', last=False), packet("r", 1, b'"flips"')]).groups, capacity=0)
    await ledger.aclose()
    sql(tmp_path, f"update packet set payload = {damaged} where k & 1")  # noqa: S608 - ours
    ledger = await open_at(tmp_path)
    tasks = tasks_of(await ledger.claim(capacity=10))
    assert [task.payload for task in tasks] == [b'"sound"']
    await ledger.record([Output(tasks[0].lease, b"1")], capacity={})
    report = await ledger.resource("r")
    assert report.state is State.INCOMPLETE
    assert "checksum" in report.failures[0].reason
    await ledger.aclose()


@pytest.mark.parametrize(
    "damage",
    [
        "update outrun set outputs = '[[2]]'",
        "update outrun set outputs = cast(x'5b5bff5d5d' as text)",
        "delete from outrun",
        "update resource set head = head || ' '",
        "update resource set head = cast(cast(head as blob) || x'ff' as text)",
    ],
)
async def test_a_damaged_body_is_never_sent(tmp_path: Path, damage: str) -> None:
    ledger = await open_at(tmp_path)
    accepted = await ledger.accept(Batch([packet("r")]).groups, capacity=1)
    await ledger.record([Output(tasks_of(accepted.runs)[0].lease, b"[1]")], capacity={})
    sql(tmp_path, damage)
    (delivery,) = await ledger.claim_deliveries("default", capacity=1)
    assert delivery.body is None
    with pytest.raises(Damaged):
        await ledger.body(delivery)
    await ledger.aclose()


async def test_a_damaged_output_keeps_no_other_resource_from_its_end(
    ledger: SqliteLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "KEPT", 0)  # bytes of outputs that need not be read of the store
    accepted = await ledger.accept(
        Batch([packet("bad", last=False), packet("bad", 1), packet("good")]).groups, capacity=3
    )
    early, *late = [Output(task.lease, b"[1]") for task in tasks_of(accepted.runs)]
    await ledger.record([early], capacity={})
    sql(tmp_path, "update outrun set outputs = cast(x'5b5bff5d5d' as text)")
    outcome = await ledger.record(late, capacity={"default": 2})
    assert outcome.statuses == [Recorded.RECORDED] * 2
    bodies = {delivery.resource_id: delivery.body for delivery in outcome.deliveries}
    assert bodies["bad"] is None
    assert b'"outputs":[[1]]' in (bodies["good"] or b"")
    with pytest.raises(Damaged):
        await ledger.outputs("bad")


async def test_who_asks_a_closed_ledger_is_told_so(tmp_path: Path) -> None:
    ledger = await open_at(tmp_path)
    await ledger.aclose()
    async with asyncio.timeout(5):
        for late in (ledger.accept(Batch([packet("r")]).groups, capacity=0), ledger.resources()):
            with pytest.raises(Unavailable, match="closed"):
                await late


async def test_a_store_that_cannot_be_read_is_told_in_words_of_the_seam(ledger: SqliteLedger, tmp_path: Path) -> None:
    sql(tmp_path, "drop table delivery")
    with pytest.raises(Damaged, match="no such table"):
        await ledger.due_endpoints()


async def test_a_second_process_is_told_that_the_directory_is_held(ledger: SqliteLedger, tmp_path: Path) -> None:
    assert ledger
    with pytest.raises(Occupied, match="--data-dir"):
        await open_at(tmp_path)


async def test_a_stop_that_cannot_be_marked_lets_go_of_the_directory(tmp_path: Path) -> None:
    ledger = await open_at(tmp_path)
    ledger._store.connection.set_busy_timeout(1)
    other = apsw.Connection(str(tmp_path / DATABASE))
    other.execute("begin immediate")
    await ledger.aclose()
    other.close()
    await (await open_at(tmp_path)).aclose()


async def test_a_newer_schema_is_refused_with_advice_and_left_alone(tmp_path: Path) -> None:
    await (await open_at(tmp_path)).aclose()
    sql(tmp_path, "pragma user_version = 99")
    with pytest.raises(SchemaTooNew, match="99"):
        await open_at(tmp_path)
    newest = len([*(files("collator.ledgers.sqlite") / "migrations").iterdir()])
    sql(tmp_path, f"pragma user_version = {newest}")
    await (await open_at(tmp_path)).aclose()


@pytest.mark.parametrize(
    "damage",
    ["update ledger set counts = '{'", "update ledger set clock = 'x'", "delete from ledger", "drop table ready"],
)
async def test_a_store_that_no_start_can_read_is_damaged(tmp_path: Path, damage: str) -> None:
    await (await open_at(tmp_path)).aclose()
    sql(tmp_path, damage)
    with pytest.raises(Damaged):
        await open_at(tmp_path)
    assert not (tmp_path / f"{DATABASE}-wal").exists(), "whoever tries again meets no connection of the first try"


async def test_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    sql(tmp_path, "create table theirs (a)")
    with pytest.raises(Damaged, match="not from Collator"):
        await open_at(tmp_path)
    sql(tmp_path, "create table resource (b)")  # there is none


async def test_a_store_that_another_has_locked_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await (await open_at(tmp_path)).aclose()
    monkeypatch.setattr(store, "prepare", lambda _connection: None)  # without the seconds that it waits for others
    other = apsw.Connection(str(tmp_path / DATABASE))
    other.execute("begin immediate")
    with pytest.raises(Unavailable, match="locked"):
        await open_at(tmp_path)
    other.close()


@pytest.mark.parametrize("claims", [False, True])
async def test_what_was_handed_to_a_caller_that_has_gone_is_taken_back(ledger: SqliteLedger, *, claims: bool) -> None:
    groups = Batch([packet("r")]).groups
    if claims:
        await ledger.accept(groups, capacity=0)
    handing_out: Coroutine[Any, Any, object] = ledger.claim(capacity=1) if claims else ledger.accept(groups, capacity=1)
    call = asyncio.ensure_future(handing_out)
    await checkpoint()  # it is in the writer's queue now
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    await ledger.counts()
    tasks: list[object] = []
    for _ in range(100):
        tasks += tasks_of(await ledger.claim(capacity=1))
        if tasks:
            break
    assert len(tasks) == 1
