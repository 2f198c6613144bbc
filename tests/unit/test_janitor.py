"""The janitor: what fails of a round holds up nothing else, and a round goes on while there is more to do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from collator.errors import Broken, CollatorError, StorageFull, Uncertain
from collator.janitor import PURGED, SLICES, Janitor
from collator.messages import StepResult
from collator.metrics import Metrics
from tests.http.listener import Sender, Workers

NOTHING = StepResult([], [], frozenset())
MORE = StepResult([], [], frozenset(), more=True)


class Script:
    """A ledger that does what the test says, and keeps the names of what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.operations: list[str] = []
        self.lost = 0
        """How many of the next answers about timeouts are lost."""
        self.errors: dict[str, CollatorError] = {}
        self.outcomes: list[StepResult] = []
        self.purged: list[int] = []

    async def expire(self, *, operation: str, **_options: object) -> StepResult:
        self._ask("expire")
        self.operations.append(operation)
        if len(self.operations) <= self.lost:
            raise Uncertain(retry_after=0.0)
        return self.outcomes.pop(0) if self.outcomes else NOTHING

    async def work_due(self) -> bool:
        self._ask("work_due")
        return True

    async def purge(self, *, limit: int) -> int:
        self._ask("purge")
        return min(limit, self.purged.pop(0)) if self.purged else 0

    def _ask(self, verb: str) -> None:
        self.asked.append(verb)
        if verb in self.errors:
            raise self.errors[verb]


@pytest.fixture
def ledger() -> Script:
    return Script()


@pytest.fixture
def janitor(ledger: Script) -> Janitor:
    return Janitor(ledger, Workers(), Sender(), accepting=lambda: True, metrics=Metrics())  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [Broken(), StorageFull()])
@pytest.mark.parametrize("verb", ["expire", "work_due", "purge"])
async def test_a_part_that_fails_ends_neither_the_round_nor_the_janitor(
    janitor: Janitor, ledger: Script, verb: str, error: CollatorError
) -> None:
    ledger.errors[verb] = error
    await janitor.round()
    await janitor.sweep()
    assert ledger.asked == ["expire", "purge", "work_due"]


async def test_what_ended_in_a_step_whose_answer_is_lost_is_asked_for_again(janitor: Janitor, ledger: Script) -> None:
    ledger.lost = 2
    await janitor.round()
    assert ledger.asked == ["expire", "expire", "expire", "purge"]
    assert len({*ledger.operations}) == 1


async def test_a_round_goes_on_while_there_is_more(janitor: Janitor, ledger: Script) -> None:
    ledger.outcomes, ledger.purged = [MORE, MORE], [PURGED, PURGED]
    await janitor.round()
    assert [ledger.asked.count(verb) for verb in ("expire", "purge")] == [3, 3]


async def test_a_round_comes_to_its_end_however_much_there_is_to_look_at(janitor: Janitor, ledger: Script) -> None:
    ledger.outcomes = [MORE] * 2 * SLICES
    await janitor.round()
    assert ledger.asked[-2:] == ["expire", "purge"]


async def test_a_look_for_packets_that_waits_for_others_holds_up_no_round(ledger: Script) -> None:
    """The ledger beats with each round: time stood still for all nodes while one that was cut off held locks."""
    rounds = asyncio.Event()

    async def work_due() -> bool:
        await asyncio.Event().wait()
        return True

    def beat() -> None:
        if len(ledger.operations) == 3:
            rounds.set()

    ledger.work_due = work_due  # type: ignore[method-assign]
    options: dict[str, Any] = {"accepting": lambda: True, "metrics": Metrics(), "beat": beat, "interval": 0.001}
    running = asyncio.create_task(Janitor(ledger, Workers(), Sender(), **options).run())  # type: ignore[arg-type]
    await asyncio.wait_for(rounds.wait(), 10)
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()


async def test_trouble_is_told_when_it_begins_and_when_it_ends(ledger: Script) -> None:
    reasons: list[str] = []
    options: dict[str, Any] = {"accepting": lambda: True, "trouble": lambda: reasons, "metrics": Metrics()}
    janitor = Janitor(ledger, Workers(), Sender(), **options)  # type: ignore[arg-type]
    with capture_logs() as logs:
        for now in ([], ["3 MiB are free"], ["2 MiB are free"], [], []):
            reasons[:] = now
            janitor.tell()
    assert [(line["log_level"], line["event"], line.get("reason")) for line in logs] == [
        ("error", "not ready", "3 MiB are free"),
        ("info", "ready again", None),
    ]


@pytest.mark.parametrize(("failing", "beats"), [("", 3), ("expire", 1), ("purge", 2)])
async def test_the_store_beats_with_each_step_that_it_has_taken(ledger: Script, failing: str, beats: int) -> None:
    heard: list[None] = []
    janitor = Janitor(
        ledger,  # type: ignore[arg-type]
        Workers(),
        Sender(),
        accepting=lambda: True,
        metrics=Metrics(),
        beat=lambda: heard.append(None),
    )
    ledger.outcomes, ledger.purged = [MORE], [PURGED]
    ledger.errors = {failing: StorageFull()}
    await janitor.round()
    assert len(heard) == beats


async def test_a_part_that_fails_at_each_round_is_told_once_until_it_works_again(
    janitor: Janitor, ledger: Script
) -> None:
    with capture_logs() as logs:
        for fails in (True, True, True, False, True, True):
            ledger.errors = {"expire": StorageFull()} if fails else {}
            await janitor.round()
    assert [(line["part"], line["times"]) for line in logs] == [("_expire", 1)] * 2
