"""The packets of one caller that come in one turn of the event loop, on several connections, in one call of the intake.

A call costs little more than that of a single packet (`direct_packets` does so for requests).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from collator.intake import Intake
from collator.packet import Packet, Receipt
from collator.web.limits import MIB

if TYPE_CHECKING:
    from collator.tracing.tracer import Parent

_TOGETHER = MIB
"""Bytes of payloads beyond which the next packets belong to another call."""


class Gathered:
    """The packets of one caller."""

    def __init__(self) -> None:
        """Begin with none."""
        self.packets: list[Packet] = []
        self.parents: list[Parent | None] = []
        """The trace that each is sent in, where there are traces: callers of one call have their own."""
        self.size = 0
        self.waiting: list[tuple[asyncio.Future[Sequence[Receipt]], slice]] = []
        """Who offered them, each with a future of his own, which he may cancel; and which of them are his."""


class GatheredIntake:
    """The intake, for who offers few packets at a time."""

    def __init__(self, intake: Intake) -> None:
        """Offer to *intake*."""
        self._intake, self._tracing = intake, intake.tracing
        self._gathered: dict[str, Gathered] = {}
        self._calls: set[asyncio.Task[None]] = set()

    async def accept(self, packets: Sequence[Packet], *, who: str, size: int) -> Sequence[Receipt]:
        """As `Intake.accept`; an error is that of all packets of the call."""
        gathered = self._gathered.get(who)
        if gathered is None or gathered.size > _TOGETHER:
            gathered = self._gathered[who] = Gathered()
            call = asyncio.create_task(self._accept(who, gathered))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)
        first = len(gathered.packets)
        gathered.packets += packets
        if self._tracing is not None:
            gathered.parents += [self._tracing.current()] * len(packets)
        gathered.size += size
        receipts: asyncio.Future[Sequence[Receipt]] = asyncio.get_running_loop().create_future()
        gathered.waiting.append((receipts, slice(first, len(gathered.packets))))
        return await receipts

    async def _accept(self, who: str, gathered: Gathered) -> None:
        """Accept the packets that came until the loop gets here."""
        if self._gathered.get(who) is gathered:
            del self._gathered[who]
        parents = gathered.parents or None
        try:
            receipts = await self._intake.accept(gathered.packets, who=who, size=gathered.size, parents=parents)
        except Exception as error:  # noqa: BLE001 - it is raised where the receipts are awaited
            for waiting, _ in gathered.waiting:
                if not waiting.done():  # else nobody waits any more
                    waiting.set_exception(error)
                    waiting.exception()  # who is cancelled just now does not look
            return
        for waiting, own in gathered.waiting:
            if not waiting.done():
                waiting.set_result(receipts[own])
