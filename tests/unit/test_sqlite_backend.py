"""The SQLite ledger as a backend: what the settings say reaches it, and what it says of itself gets out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from collator import ledgers
from collator.clock import SystemClock
from collator.errors import CollatorError, Unavailable, Vanished
from collator.ledgers.sqlite import backend as sqlite
from collator.metrics import Metrics
from collator.rules.resource import LedgerLimits
from collator.settings import Settings


class Ledger:
    """A data directory of which the test says how it is."""

    begun, behind = True, 7.0
    gone = Vanished()
    slow = Unavailable("a commit takes long")

    def __init__(self) -> None:
        self.committed: object = None
        self.closed = 0

    def watch(self, committed: object) -> None:
        self.committed = committed

    def health(self) -> str:
        return "the disk fails"

    def refusal(self) -> Unavailable:
        return self.slow

    def lost(self) -> CollatorError:
        return self.gone

    async def aclose(self) -> None:
        self.closed += 1


@pytest.mark.parametrize("keep", [1, 2**60])
async def test_it_is_as_its_directory_and_the_disk_of_that_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: int
) -> None:
    ledger, given = Ledger(), dict[str, Any]()

    async def open_ledger(data_dir: Path, **options: Any) -> Ledger:  # noqa: ANN401 - what is passed on
        given.update(options, data_dir=data_dir)
        return ledger

    monkeypatch.setattr(sqlite, "open_ledger", open_ledger)
    settings = Settings(data_dir=tmp_path, min_free_disk=keep, unsafe_synchronous="normal")
    passed_on: dict[str, Any] = {
        "ledger_limits": LedgerLimits(),
        "clock": SystemClock(),
        "route": lambda _: (),
        "stood_still": lambda: 3.0,
    }
    backend = await ledgers.open_backend(settings, **passed_on)
    assert given == {**passed_on, "data_dir": tmp_path, "synchronous": "normal"}
    opened: Any = backend
    assert (opened.ledger, opened.begun, opened.behind) == (ledger, True, 7.0)
    assert (backend.health(), backend.lost()) == ("the disk fails", ledger.gone)
    refusal = backend.refusal()
    assert refusal is not None
    assert (refusal is ledger.slow) == (keep == 1), "a low disk is told first"
    metrics = Metrics()
    backend.watch(metrics)
    assert ledger.committed == metrics.committed
    assert b"\ncollator_disk_free_bytes " in metrics.text()
    await backend.aclose()
    assert ledger.closed == 1
