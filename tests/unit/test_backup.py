"""A copy of a store in use: all that was acknowledged, as after a clean stop, and nothing of a half-made one."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from pathlib import Path

import apsw
import pytest

from collator.errors import ConfigError, Damaged, SchemaTooNew, StorageFull
from collator.ledgers.sqlite import backup
from collator.ledgers.sqlite.backup import PARTIAL, back_up
from collator.ledgers.sqlite.check import check_directory
from tests.conformance.steps import claim, offer, packet, packets, process
from tests.unit.test_check import damage, fill, opened

pytestmark = pytest.mark.anyio


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_p1_the_copy_of_a_running_store_holds_what_was_acknowledged(tmp_path: Path) -> None:
    ledger = await opened(tmp_path / "data")
    await fill(ledger)
    report = back_up(tmp_path / "data", tmp_path / "copy")
    await offer(ledger, packet("later"))
    await ledger.aclose()
    assert report.sound
    assert report.database == str(tmp_path / "copy" / "collator.db")
    assert [path.name for path in (tmp_path / "copy").iterdir()] == ["collator.db"]
    copy = await opened(tmp_path / "copy")
    assert {one.resource_id for one in await copy.resources()} == {"whole", "part", "gone", "open", "again"}
    assert (await copy.resource("open")).unfinished == [(1, 2), (5, 5)]
    await copy.aclose()


async def test_packets_that_are_in_work_wait_in_the_copy_and_are_no_suspects(tmp_path: Path) -> None:
    ledger = await opened(tmp_path / "data")
    await offer(ledger, *packets(9))
    assert len(await claim(ledger, 5)) == 5
    back_up(tmp_path / "data", tmp_path / "copy")
    await ledger.aclose()
    copy = await opened(tmp_path / "copy")
    tasks = await claim(copy)
    assert [(task.key.index, task.attempt) for task in tasks] == [(index, 1) for index in range(9)]
    await copy.aclose()


async def test_a_suspect_stays_one_in_the_copy(tmp_path: Path) -> None:
    ledger = await opened(tmp_path / "data")
    await offer(ledger, *packets(2))
    await claim(ledger)
    ledger.abandon()
    ledger = await opened(tmp_path / "data")
    assert len(await claim(ledger)) == 1  # alone
    back_up(tmp_path / "data", tmp_path / "copy")
    await ledger.aclose()
    assert check_directory(tmp_path / "copy").sound
    copy = await opened(tmp_path / "copy")
    assert [task.attempt for task in await claim(copy)] == [1]
    await copy.aclose()


async def test_the_copy_is_one_snapshot_whatever_is_written_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "SLICE", 1)
    ledger = await opened(tmp_path / "data")
    await offer(ledger, *(packet("before", index, b'"%s"' % (b"x" * 2000)) for index in range(500)))
    await process(ledger, 250)
    copying = asyncio.create_task(asyncio.to_thread(back_up, tmp_path / "data", tmp_path / "copy"))
    rounds = 0
    while not copying.done():
        await offer(ledger, *packets(10, f"meanwhile-{rounds}"))
        await process(ledger, 10)
        rounds += 1
    report = await copying
    assert (report.sound, rounds > 1, report.rows["packets"] % 10) == (True, True, 0)  # no half of a commit
    assert report.counts.waiting == report.rows["packets"] - report.rows["outcomes"]
    await ledger.aclose()


async def test_the_secret_goes_with_the_copy_and_stays_private(tmp_path: Path) -> None:
    ledger = await opened(tmp_path / "data")
    secret = tmp_path / "data" / "webhook.secret"
    secret.write_text("whsec_AAAA\n")
    secret.chmod(0o600)
    back_up(tmp_path / "data", tmp_path / "copy")
    await ledger.aclose()
    copied = tmp_path / "copy" / "webhook.secret"
    assert copied.read_text() == "whsec_AAAA\n"
    assert mode(copied) == 0o600


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a file has no mode")
async def test_payloads_are_for_the_user_of_the_service_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        ledger = await opened(tmp_path / "data")
        await fill(ledger)
        back_up(tmp_path / "data", tmp_path / "copy")
        names = ["data/collator.db", "data/collator.db-wal", "data/collator.db-shm", "copy/collator.db"]
        assert [oct(mode(tmp_path / name)) for name in names] == ["0o600"] * 4
        await ledger.aclose()
        (tmp_path / "data" / "collator.db").chmod(0o640)
        await (await opened(tmp_path / "data")).aclose()
        assert mode(tmp_path / "data" / "collator.db") == 0o640
    finally:
        os.umask(before)


async def test_an_unsound_copy_cannot_be_served_by_mistake(tmp_path: Path) -> None:
    ledger = await opened(tmp_path / "data")
    await fill(ledger)
    await ledger.aclose()
    damage(tmp_path / "data", "update packet set crc = crc + 1 where k = {open} | 1")
    report = back_up(tmp_path / "data", tmp_path / "copy")
    assert [one.what for one in report.complaints] == ["a payload does not match its checksum"]
    assert [path.name for path in (tmp_path / "copy").iterdir()] == [PARTIAL]


async def test_what_cannot_be_copied_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no database in"):
        back_up(tmp_path / "nothing", tmp_path / "copy")
    ledger = await opened(tmp_path / "data")
    await ledger.aclose()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(ConfigError, match="not empty"):
        back_up(tmp_path / "data", tmp_path / "full")
    with pytest.raises(ConfigError, match="is not a directory"):
        back_up(tmp_path / "data", tmp_path / "full" / "file")
    (tmp_path / "data" / "collator.db").write_bytes(b"no database")
    with pytest.raises(Damaged, match="cannot be copied"):
        back_up(tmp_path / "data", tmp_path / "copy")
    (tmp_path / "data" / "collator.db").write_bytes(b"")
    with pytest.raises(Damaged, match="cannot be copied: it is empty"):
        back_up(tmp_path / "data", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


async def test_a_newer_schema_is_told_before_anything_is_made(tmp_path: Path) -> None:
    ledger = await opened(tmp_path / "data")
    await ledger.aclose()
    damage(tmp_path / "data", "pragma user_version = 99")
    with pytest.raises(SchemaTooNew, match="the database has schema 99"):
        back_up(tmp_path / "data", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("error", [apsw.FullError("full"), KeyboardInterrupt()], ids=repr)
async def test_a_copy_that_failed_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, *, there: bool
) -> None:
    ledger = await opened(tmp_path / "data")
    await fill(ledger)
    await ledger.aclose()

    def fail(_copy: apsw.Connection) -> None:
        raise error

    if there:
        (tmp_path / "copy").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(backup, "_mark_stopped", fail)
        with pytest.raises((StorageFull, KeyboardInterrupt)):
            back_up(tmp_path / "data", tmp_path / "copy")
    assert (tmp_path / "copy").exists() == there
    assert not there or list((tmp_path / "copy").iterdir()) == []
    assert back_up(tmp_path / "data", tmp_path / "copy").sound


@pytest.mark.skipif(sys.platform == "win32", reason="a directory in use cannot be moved there")
@pytest.mark.parametrize("moved", ["data", "copy"])
async def test_a_directory_that_is_moved_meanwhile_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moved: str
) -> None:
    ledger = await opened(tmp_path / "data")
    await fill(ledger)
    await ledger.aclose()

    def move(_copy: apsw.Connection) -> None:
        (tmp_path / moved).rename(tmp_path / "elsewhere")
        raise apsw.IOError("whatever comes of it")

    monkeypatch.setattr(backup, "_mark_stopped", move)
    with pytest.raises(ConfigError, match=f"{moved} was moved or removed during the copy"):
        back_up(tmp_path / "data", tmp_path / "copy")
