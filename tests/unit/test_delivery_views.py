"""Lists of deliveries where one look does not reach the end: short pages, even empty ones, and still exact."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from msgspec import Raw

from collator.ledgers.sqlite import SqliteLedger, deliveries, open_ledger
from collator.ledgers.sqlite.statements import load_statements
from collator.ledgers.sqlite.store import DATABASE, connect
from collator.messages import Attempt, Batch, DeliveryFilter, Output, tasks_of
from collator.packet import Packet
from collator.rules.resource import LedgerLimits
from collator.states import DeliveryState
from collator.testing import ManualClock

COUNT = 25


async def filled(tmp_path: Path) -> SqliteLedger:
    """A ledger with many deliveries, of which the last two are dead and all others delivered."""
    ledger = await open_ledger(tmp_path, ledger_limits=LedgerLimits(), clock=ManualClock(), route=lambda _: ["default"])
    packets = [Packet(f"r{number:02}", 0, Raw(b"0"), last=True) for number in range(COUNT)]
    tasks = tasks_of((await ledger.accept(Batch(packets).groups, capacity=COUNT)).runs)
    outcome = await ledger.record([Output(task.lease, b"0") for task in tasks], capacity={"default": COUNT})
    ends = [DeliveryState.DELIVERED] * (COUNT - 2) + [DeliveryState.DEAD] * 2
    await ledger.record_attempts([Attempt(one, end) for one, end in zip(outcome.deliveries, ends, strict=True)])
    return ledger


@pytest.mark.parametrize("looked", [1, 3, 5, 24, 25, 26])
async def test_p5_a_look_is_bounded_and_pages_stay_exact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looked: int
) -> None:
    monkeypatch.setattr(deliveries, "LOOKED", looked)
    ledger = await filled(tmp_path)
    wanted, found, pages, after = DeliveryFilter(prefix="r2", state=DeliveryState.DELIVERED), list[str](), 0, ""
    while pages == 0 or after:
        page = await ledger.deliveries(wanted, after=after, limit=2)
        found += [report.resource_id for report in page.deliveries]
        pages, after = pages + 1, page.after or ""
    assert found == ["r20", "r21", "r22"]
    assert pages >= COUNT // max(looked, 13)
    await ledger.aclose()


async def test_p5_what_is_dead_is_found_without_a_look_at_what_was_delivered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries, "LOOKED", 2)
    ledger = await filled(tmp_path)
    page = await ledger.deliveries(DeliveryFilter(state=DeliveryState.DEAD))
    assert [report.resource_id for report in page.deliveries] == ["r23", "r24"]
    assert page.after is None
    await ledger.aclose()


@pytest.mark.parametrize("name", ["list_deliveries", "resources_by_number", "due_endpoints", "delivery_history"])
async def test_p5_no_view_of_deliveries_goes_through_a_whole_table(tmp_path: Path, name: str) -> None:
    await (await filled(tmp_path)).aclose()
    connection, statement = connect(tmp_path / DATABASE, readonly=True), load_statements()[name]
    count = max(int(number) for number in re.findall(r"\?(\d+)", statement))
    plan = [row[3] for row in connection.execute(f"explain query plan {statement}", [None] * count)]
    connection.close()
    scans = {step.split()[1] for step in plan if step.startswith("SCAN") and "CONSTANT" not in step}
    assert not scans & {"d", "delivery", "r", "resource", "delivery_log"}, plan
