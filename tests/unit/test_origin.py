"""A write-ahead log beside a database that is not its own: noticed before a byte of either is changed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec import Raw

from collator.cli.exits import Exit, exit_for
from collator.errors import Damaged
from collator.ledgers.sqlite import SqliteLedger, open_ledger
from collator.ledgers.sqlite.backup import back_up
from collator.ledgers.sqlite.check import check_directory
from collator.ledgers.sqlite.store import DATABASE
from collator.messages import Batch
from collator.packet import Packet, PacketLimits, check
from collator.rules.resource import LedgerLimits
from collator.testing import ManualClock

LOG = f"{DATABASE}-wal"


class Home:
    """A data directory, its copies, and one process after another."""

    def __init__(self, path: Path) -> None:
        self.data, self.copies = path / "data", path / "copies"
        self.clock = ManualClock()
        self.ledger: SqliteLedger
        self._sent = 0

    async def open(self) -> None:
        self.ledger = await open_ledger(
            self.data, ledger_limits=LedgerLimits(), clock=self.clock, route=lambda _: ["default"]
        )

    async def send(self, count: int = 1) -> None:
        for _ in range(count):
            self._sent += 1
            self.clock.advance(1.0)
            packet = check(Packet(f"r{self._sent}", 0, Raw(b'"x"'), last=True), PacketLimits())
            await self.ledger.accept(Batch([packet]).groups, capacity=0)

    def kill(self) -> None:
        """Leave the files as a killed process does: a connection that is closed would empty its log."""
        killed = self.data.with_name("killed")
        shutil.copytree(self.data, killed)
        self.ledger.abandon()
        shutil.rmtree(self.data)
        killed.rename(self.data)

    def checkpoint(self) -> None:
        self.ledger._store.connection.execute("pragma wal_checkpoint(passive)").fetchall()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def _by_backup(home: Home) -> Path:
    back_up(home.data, home.copies)
    return home.copies / DATABASE


async def _killed_after(home: Home, copy: Callable[[Home], Path], *, checkpoint: bool) -> None:
    """A copy is made, the service goes on and is killed, and the copy is put over its database."""
    await home.open()
    await home.send(3)
    copied = copy(home)
    await home.send(3)
    if checkpoint:
        home.checkpoint()
        await home.send(3)
    home.kill()
    shutil.copy(copied, home.data / DATABASE)


@pytest.mark.parametrize("checkpoint", [False, True])
async def test_a_backup_that_was_copied_over_a_database_with_a_log_is_not_opened(
    home: Home, *, checkpoint: bool
) -> None:
    await _killed_after(home, _by_backup, checkpoint=checkpoint)
    before = {path.name: path.read_bytes() for path in home.data.iterdir() if path.name in (DATABASE, LOG)}
    assert before[LOG]
    with pytest.raises(Damaged, match="does not belong to") as caught:
        await home.open()
    assert exit_for(caught.value) is Exit.STORE
    assert {name: (home.data / name).read_bytes() for name in before} == before
    (complaint,) = check_directory(home.data).complaints
    assert "do not belong together" in complaint.what


async def test_it_is_opened_once_the_log_is_removed_as_the_words_say(home: Home) -> None:
    await _killed_after(home, _by_backup, checkpoint=False)
    for ending in ("-wal", "-shm"):
        (home.data / f"{DATABASE}{ending}").unlink()
    await home.open()
    assert (await home.ledger.counts()).open == 3
    await home.ledger.aclose()
    assert check_directory(home.data).sound


async def test_a_copy_of_a_stopped_store_is_noticed_too(home: Home) -> None:
    await home.open()
    await home.send(3)
    await home.ledger.aclose()
    copied = shutil.copy(home.data / DATABASE, home.data.with_name("cold"))
    await _killed_after(home, lambda _home: Path(copied), checkpoint=True)
    with pytest.raises(Damaged, match="does not belong to"):
        await home.open()


async def test_a_log_that_is_older_than_the_file_is_noticed(home: Home) -> None:
    await home.open()
    await home.send()
    home.kill()
    old = (home.data / LOG).read_bytes()
    await home.open()
    await home.send(5)
    home.checkpoint()
    home.kill()
    (home.data / LOG).write_bytes(old)
    (home.data / f"{DATABASE}-shm").unlink()
    with pytest.raises(Damaged, match="does not belong to"):
        await home.open()


@pytest.mark.parametrize("seed", range(6))
async def test_its_own_log_is_never_taken_for_another(home: Home, seed: int) -> None:
    """Kills, clean stops and checkpoints in every order, with backups beside."""
    for step in range(8):
        await home.open()
        await home.send((seed + step) % 3)
        if (seed >> step % 3) & 1:
            home.checkpoint()
            await home.send(step % 2)
        if step == seed:
            back_up(home.data, home.copies)
        if (seed + step) % 4:
            home.kill()
        else:
            await home.ledger.aclose()
    assert check_directory(home.data).sound


async def test_a_start_that_was_cut_off_is_no_copy(home: Home) -> None:
    await home.open()
    await home.ledger.aclose()
    await home.open()  # the file says that it was stopped cleanly, the log that it is in use
    home.kill()
    await home.open()
    await home.ledger.aclose()


async def test_without_a_note_as_an_earlier_version_left_it_nothing_is_said(home: Home) -> None:
    await home.open()
    await home.send()
    await home.ledger.aclose()
    await home.open()
    home.kill()
    (home.data / f"{DATABASE}-origin").unlink()
    await home.open()
    assert (await home.ledger.counts()).open == 1
    await home.ledger.aclose()
