"""The intake: limits, then accept, then the hint to those who work. For the web and for the library alike.

What lives here: what happens to packets between the moment they are decoded and their receipts. What does not: the
wire (`packet`, `web`), the rules (`resource`), the store (`ledger`).

Theory. A packet is stored before anybody is told of it (P1). Overload and a stop are refused before the store is
asked (P5), so that nothing acknowledged is ever thrown away. What `Ledger.accept` hands out is leased to this process
and passed on in the same turn of the event loop, so that an accepted packet waits for nobody. A hint that is lost
costs time, never a packet.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from collator.backlog import Backlog
from collator.errors import Unavailable
from collator.messages import Batch
from collator.metrics import Metrics
from collator.packet import ACCEPTED, Packet, Receipt, Status
from collator.rules.footprint import PACKET
from collator.seams.operations import Operations
from collator.seams.outbox import Outbox
from collator.seams.packets import PacketIntake
from collator.seams.workers import Workers

if TYPE_CHECKING:
    from collator.tracing.tracer import Parent, Tracing


class Intake:
    """The way in. Its verbs may be called at the same time."""

    def __init__(
        self,
        ledger: PacketIntake,
        workers: Workers,
        outbox: Outbox,
        *,
        metrics: Metrics,
        backlog: Backlog | None = None,
        unavailable: Callable[[], Unavailable | None] = lambda: None,
        tracing: Tracing | None = None,
    ) -> None:
        """Accept into *ledger*, and hand on to *workers* and *outbox*.

        Nobody has more wait there than his share of the *backlog*. *unavailable* is `LedgerBackend.refusal`: where it
        gives a reason the ledger is not asked, so that nobody waits in vain (P5). *tracing* makes a span of each call.
        """
        self.tracing = tracing
        self.draining = asyncio.Event()
        """Set once nothing more is taken; streams wait for it, to end by themselves."""
        self._ledger, self._operations = ledger, Operations()
        self._workers = workers
        self._outbox = outbox
        self._unavailable, self._backlog = unavailable, backlog
        self._held_back = False
        self._counters = {status: metrics.packets.labels(status.value) for status in Status}
        self._promised = 0  # room that calls which are under way have told the ledger of

    async def accept(
        self, packets: Sequence[Packet], *, who: str = "", size: int = 0, parents: Sequence[Parent | None] | None = None
    ) -> Sequence[Receipt]:
        """Store *packets*, which were checked, and start their processing; a receipt for each, in order.

        They have *size* bytes, about, and come from *who*, whose share counts; nobody's where it is not said.
        *parents*: the traces that they are sent in, one by one; that of the current span, where it is not said.
        Durable when it returns. `Unavailable` (and its kinds) means that nothing was stored.
        """
        refusal = self.refusal()
        if refusal is not None:
            raise refusal
        if self._backlog is not None:
            size += PACKET * len(packets)
            why_not = await self._over_share(self._backlog, who) if self._backlog.unsure(size) else ""
            if why_not:
                receipts = [Receipt(Status.REFUSED, why_not, retry_after=1.0)] * len(packets)
                self._count(receipts)
                return receipts
            self._backlog.add(who, size)
        batch = Batch(packets)
        capacity = max(0, min(len(packets), self._workers.capacity() - self._promised))
        self._promised += capacity
        spans = None if self.tracing is None else self.tracing.sending(packets, parents)
        try:
            accepted = await self._operations.certain(self._ledger.accept, batch.groups, capacity=capacity)
        except BaseException as error:
            if spans is not None:
                spans.failed(error)
            raise
        finally:
            self._promised -= capacity
        answers = batch.in_order(accepted.receipts) if accepted.exceptions else [ACCEPTED] * batch.size
        if spans is not None:
            spans.stored(answers)  # before a worker may ask in which trace a packet is
        if accepted.runs:
            self._workers.submit(accepted.runs)
        if accepted.waiting:
            self._workers.notify()
        if accepted.endpoints:
            self._outbox.take((), accepted.endpoints)
        self._count(answers)
        return answers

    def refusal(self) -> Unavailable | None:
        """The error for all packets while none are accepted; `None` while they are."""
        if self.draining.is_set():
            return Unavailable("the service is stopping; try again later, or another node", retry_after=5.0)
        return self._unavailable()

    def held_back(self) -> bool:
        """Return whether anybody was refused for his share since the last call: time that counts against no sender."""
        held_back, self._held_back = self._held_back, False
        return held_back

    def drain(self) -> None:
        """Refuse all packets from now on. The calls under way end as they would have."""
        self.draining.set()

    async def _over_share(self, backlog: Backlog, who: str) -> str:
        """The reason why *who* may have no more packets wait, in words; empty where more may."""
        backlog.waits((await self._ledger.counts()).backlog)
        why_not = backlog.why_not(who)
        self._held_back = self._held_back or bool(why_not)
        return why_not

    def _count(self, receipts: Sequence[Receipt]) -> None:
        if len(receipts) == 1:
            self._counters[receipts[0].status].inc()
            return
        for status, number in tally(receipts).items():
            self._counters[status].inc(number)


def tally(receipts: Sequence[Receipt]) -> Counter[Status]:
    """The number of *receipts* by status."""
    first = receipts[0] if receipts else None
    if first is None or receipts.count(first) == len(receipts):  # one comparison in C a receipt: nearly always
        return Counter({first.status: len(receipts)} if first else {})
    return Counter(receipt.status for receipt in receipts)
