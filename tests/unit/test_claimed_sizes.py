"""How much a claim reads: as many payloads as may be handed out, and not all that wait."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec import Raw

from collator.engines.embedded import claiming, open_ledger
from collator.engines.embedded.store import Store
from collator.packet import Bounds, Packet, check
from collator.resource import Terms
from collator.testing import ManualClock

SIZE = 100


async def read_by_a_claim(monkeypatch: pytest.MonkeyPatch, path: Path, terms: Terms) -> tuple[int, int]:
    """How many packets a claim has read and handed out, of 200 of `SIZE` bytes each."""
    ledger = await open_ledger(path, terms=terms, clock=ManualClock(), route=lambda _: [])
    packets = [
        check(Packet("a", index, Raw(b'"%s"' % (b"x" * (SIZE - 2))), last=index == 199), Bounds())
        for index in range(200)
    ]
    await ledger.accept(packets, room=0)
    read: list[int] = []
    load = claiming._load

    def counted(store: Store, keys: Sequence[int]) -> list[claiming._Loaded]:
        read.append(len(keys))
        return load(store, keys)

    monkeypatch.setattr(claiming, "_load", counted)
    tasks = await ledger.claim(claim_id="c", room=1000)
    await ledger.aclose()
    return sum(read), len(tasks)


async def test_a_claim_reads_no_more_than_is_read_in_one_go(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(claiming, "READ_AT_ONCE", 50 * SIZE)
    assert await read_by_a_claim(monkeypatch, tmp_path, Terms()) == (50, 50)


async def test_a_claim_reads_no_more_than_may_be_handed_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert await read_by_a_claim(monkeypatch, tmp_path, Terms(max_leased=30 * SIZE)) == (30, 30)


async def test_a_claim_reads_few_packets_whatever_their_size(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(claiming, "READ_AT_ONCE", SIZE)
    few = claiming.FEW
    assert await read_by_a_claim(monkeypatch, tmp_path, Terms()) == (few, few)
