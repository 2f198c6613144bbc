"""A data directory that is removed or replaced while it is in use: nothing is acknowledged into it any more (P1)."""

from __future__ import annotations

import shutil
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from msgspec import Raw
from structlog.testing import capture_logs

from collator.errors import Unavailable, Vanished
from collator.ledgers.sqlite import SqliteLedger, open_ledger
from collator.ledgers.sqlite.lock import LOCK
from collator.ledgers.sqlite.presence import GRACE, LOOK, Presence
from collator.ledgers.sqlite.store import DATABASE
from collator.messages import Batch, Output, Recorded, tasks_of
from collator.packet import Packet, PacketLimits, check
from collator.rules.resource import LedgerLimits
from collator.testing import ManualClock

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a file that is open cannot be removed there")


def packet(resource_id: str) -> Packet:
    return check(Packet(resource_id, 0, Raw(b'"x"'), last=True), PacketLimits())


def remove(data: Path) -> None:
    shutil.rmtree(data)


def remove_and_make(data: Path) -> None:
    shutil.rmtree(data)
    data.mkdir()


def move(data: Path) -> None:
    data.rename(data.with_name("elsewhere"))


def replace_all(data: Path) -> None:
    shutil.copytree(data, data.with_name("copy"))
    shutil.rmtree(data)
    data.with_name("copy").rename(data)


def replace_database(data: Path) -> None:
    shutil.copy(data / DATABASE, data / "copy")
    (data / "copy").replace(data / DATABASE)


def without(name: str) -> Callable[[Path], None]:
    def remove(data: Path) -> None:
        (data / name).unlink()

    return remove


WAYS = {
    "removed": remove,
    "removed and made again": remove_and_make,
    "moved": move,
    "replaced": replace_all,
    "database replaced": replace_database,
    **{f"without {name}": without(name) for name in (DATABASE, f"{DATABASE}-wal", LOCK)},
}


@pytest.fixture
async def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SqliteLedger]:
    monkeypatch.setattr("collator.ledgers.sqlite.presence.LOOK", 0.0)
    ledger = await open_ledger(
        tmp_path / "data", ledger_limits=LedgerLimits(), clock=ManualClock(), route=lambda _: ["default"]
    )
    yield ledger
    ledger.abandon()


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_p1_nothing_is_acknowledged_into_files_that_are_gone(
    ledger: SqliteLedger, tmp_path: Path, way: Callable[[Path], None]
) -> None:
    await ledger.accept(Batch([packet("before")]).groups, capacity=0)
    way(tmp_path / "data")
    with capture_logs() as logs:
        for _ in range(3):
            with pytest.raises(Unavailable, match=r"does not exist any more|was replaced by another file"):
                await ledger.accept(Batch([packet("after")]).groups, capacity=0)
    assert [(line["log_level"], line["event"]) for line in logs] == [
        ("error", "the data directory was moved, removed or replaced")
    ]
    assert "nothing is stored until it is back" in (ledger.health() or "")
    assert ledger.refusal() is not None


async def test_p1_what_was_committed_as_the_files_went_is_not_acknowledged(
    ledger: SqliteLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ledger.accept(Batch([packet("before")]).groups, capacity=0)
    commit = ledger._writer._commit

    def remove_meanwhile(*group: object) -> None:
        commit(*group)  # type: ignore[arg-type]
        remove(tmp_path / "data")

    monkeypatch.setattr(ledger._writer, "_commit", remove_meanwhile)
    with pytest.raises(Unavailable):
        await ledger.accept(Batch([packet("meanwhile")]).groups, capacity=0)


async def test_a_directory_that_comes_back_is_used_as_before(ledger: SqliteLedger, tmp_path: Path) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    (task,) = tasks_of((await ledger.accept(Batch([packet("r")]).groups, capacity=1)).runs)
    data.rename(elsewhere)
    with pytest.raises(Unavailable):
        await ledger.record([Output(task.lease, b"1")], capacity={})
    elsewhere.rename(data)
    assert (await ledger.record([Output(task.lease, b"1")], capacity={})).statuses == [Recorded.RECORDED]
    assert ledger.health() is None
    assert ledger.lost() is None


def test_it_ends_only_after_a_grace(tmp_path: Path) -> None:
    clock = ManualClock()
    for name in (LOCK, DATABASE):
        (tmp_path / name).touch()
    presence = Presence(tmp_path, now=clock.monotonic)
    assert presence.look() is None
    (tmp_path / DATABASE).unlink()
    assert presence.look() is None, f"one look holds for {LOOK} s"
    clock.advance(LOOK)
    assert presence.look()
    clock.advance(GRACE - 0.1)
    assert presence.lost() is None
    clock.advance(0.1)
    assert isinstance(presence.lost(), Vanished)


async def test_p1_what_stands_in_the_place_of_the_log_is_left_alone_at_the_end(tmp_path: Path) -> None:
    """As that of another service, on a disk that was mounted there since and has the same inodes."""
    ledger = await open_ledger(tmp_path, ledger_limits=LedgerLimits(), clock=ManualClock(), route=lambda _: ["default"])
    await ledger.accept(Batch([packet("before")]).groups, capacity=0)
    log = tmp_path / f"{DATABASE}-wal"
    log.rename(tmp_path / "moved")
    log.write_bytes(b"what another has acknowledged")
    await ledger.aclose()
    assert log.read_bytes() == b"what another has acknowledged"
