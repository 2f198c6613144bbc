"""The free space that is kept: looked at seldom, met before there is none, and taken back by itself."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from collator.ledgers.sqlite.disk import LOOK, Disk
from collator.pipeline import open_pipeline
from collator.settings import Settings


class Machine:
    """A disk and a clock of which the test has both."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free, self.now, self.looks = 0, 100.0, 0
        monkeypatch.setattr(shutil, "disk_usage", self._usage)

    def _usage(self, _path: Path) -> SimpleNamespace:
        self.looks += 1
        return SimpleNamespace(free=self.free, total=10**12)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_p5_it_is_low_below_what_is_kept_free_and_says_what_to_do(tmp_path: Path, machine: Machine) -> None:
    machine.free = 300 * 1024**2 - 1
    low = Disk(tmp_path, keep=300 * 1024**2, now=lambda: machine.now).low()
    assert low is not None
    assert low.detail.startswith("only 299 MiB of the disk are free, less than 300 MiB (min_free_disk)")
    assert low.retry_after > LOOK
    machine.free += 1
    assert Disk(tmp_path, keep=300 * 1024**2, now=lambda: machine.now).low() is None


def test_the_disk_is_asked_once_a_second_at_most(tmp_path: Path, machine: Machine) -> None:
    disk = Disk(tmp_path, keep=1, now=lambda: machine.now)
    assert all(disk.low() for _ in range(1000))
    assert machine.looks == 1
    machine.free, machine.now = 1, machine.now + LOOK
    assert [disk.low() for _ in range(1000)] == [None] * 1000
    assert machine.looks == 2


def test_a_disk_that_is_not_there_refuses_until_it_is_again(tmp_path: Path) -> None:
    directory, now = tmp_path / "data", 100.0
    disk = Disk(directory, keep=1, now=lambda: now)
    gone = disk.low()
    assert gone is not None
    assert (gone.detail, disk.free()) == (
        "the disk of the data directory cannot be read: No such file or directory",
        0,
    )
    directory.mkdir()
    now += LOOK
    assert disk.low() is None


def test_a_real_disk_is_asked(tmp_path: Path) -> None:
    assert Disk(tmp_path, keep=1).free() > 1


@pytest.mark.parametrize(("keep", "accepting"), [(1, True), (2**60, False)])
async def test_r13_no_idle_timeout_runs_while_the_disk_is_low(tmp_path: Path, keep: int, accepting: bool) -> None:
    settings = Settings(data_dir=tmp_path / "data", webhook="none", min_free_disk=keep)
    async with open_pipeline(settings) as pipeline, pipeline.at_work():
        assert pipeline._accepting() is accepting
