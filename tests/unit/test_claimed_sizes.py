"""How much a claim reads: as many payloads as may be handed out, and not all that wait."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from collator.ledgers.sqlite import claims, open_ledger
from collator.ledgers.sqlite.store import Store
from collator.messages import Batch, tasks_of
from collator.packet import Packet, PacketLimits, check
from collator.rules.resource import LedgerLimits
from collator.testing import ManualClock

SIZE = 100


async def read_by_a_claim(monkeypatch: pytest.MonkeyPatch, path: Path, ledger_limits: LedgerLimits) -> tuple[int, int]:
    """How many packets a claim has read and handed out, of 200 of `SIZE` bytes each."""
    ledger = await open_ledger(path, ledger_limits=ledger_limits, clock=ManualClock(), route=lambda _: [])
    packets = [
        check(Packet("a", index, Raw(b'"%s"' % (b"x" * (SIZE - 2))), last=index == 199), PacketLimits())
        for index in range(200)
    ]
    await ledger.accept(Batch(packets).groups, capacity=0)
    read: list[int] = []
    read_rows = claims._read

    def counted(store: Store, keys: Sequence[int]) -> Any:  # noqa: ANN401 - whatever the original gives
        read.append(len(keys))
        return read_rows(store, keys)

    monkeypatch.setattr(claims, "_read", counted)
    tasks = tasks_of(await ledger.claim(capacity=1000))
    await ledger.aclose()
    return sum(read), len(tasks)


async def test_a_claim_reads_no_more_than_is_read_in_one_go(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(claims, "READ_AT_ONCE", 50 * SIZE)
    assert await read_by_a_claim(monkeypatch, tmp_path, LedgerLimits()) == (50, 50)


async def test_a_claim_reads_no_more_than_may_be_handed_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert await read_by_a_claim(monkeypatch, tmp_path, LedgerLimits(max_leased=30 * SIZE)) == (30, 30)


async def test_a_claim_reads_few_packets_whatever_their_size(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(claims, "READ_AT_ONCE", SIZE)
    few = claims.FEW
    assert await read_by_a_claim(monkeypatch, tmp_path, LedgerLimits()) == (few, few)
