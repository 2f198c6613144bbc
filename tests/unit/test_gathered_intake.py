"""Packets that are offered in one turn of the event loop: one call, and each caller gets his receipts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import msgspec
import pytest

from collator.errors import StorageFull
from collator.intake import Intake
from collator.packet import ACCEPTED, DUPLICATE, Packet, Receipt
from collator.web.gathered_intake import GatheredIntake

PACKETS = [Packet("r", index, msgspec.Raw(b"1")) for index in range(5)]


class Recorder:
    """An intake that takes packets with an even index, or nothing."""

    tracing = None

    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[tuple[str, int, int]] = []
        self._error = error

    async def accept(
        self, packets: Sequence[Packet], *, who: str, size: int, parents: None = None
    ) -> Sequence[Receipt]:
        self.calls.append((who, len(packets), size))
        if self._error is not None:
            raise self._error
        return [DUPLICATE if packet.index % 2 else ACCEPTED for packet in packets]


async def test_what_comes_in_one_turn_is_one_call_for_each_caller() -> None:
    recorder = Recorder()
    intake = GatheredIntake(cast("Intake", recorder))
    parts = [("a", PACKETS[:2]), ("b", PACKETS[1:2]), ("a", PACKETS[2:]), ("a", PACKETS[3:4])]
    found = await asyncio.gather(*(intake.accept(packets, who=who, size=len(packets)) for who, packets in parts))
    assert sorted(recorder.calls) == [("a", 6, 6), ("b", 1, 1)]
    expected = [[DUPLICATE if packet.index % 2 else ACCEPTED for packet in packets] for _, packets in parts]
    assert [[*receipts] for receipts in found] == expected
    assert await intake.accept(PACKETS[:1], who="a", size=1) == [ACCEPTED]
    assert len(recorder.calls) == 3


async def test_an_error_is_that_of_all_and_who_goes_away_takes_none_with_him() -> None:
    intake = GatheredIntake(cast("Intake", Recorder(StorageFull())))
    several = [asyncio.create_task(intake.accept(PACKETS, who="a", size=1)) for _ in range(3)]
    asyncio.get_running_loop().call_soon(several[0].cancel)  # once all of them wait
    for one in several[1:]:
        with pytest.raises(StorageFull):
            await one
