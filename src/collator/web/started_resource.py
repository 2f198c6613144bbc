"""The resource that a client has started on a stream over WebSocket: its packets, stored and acknowledged in order.

Theory. The packets of one read are offered by one call of the intake, and nothing more is read until they are decided:
what comes meanwhile waits in the system and then at the client, and is offered together. So the client is
acknowledged as commits go, and feels how fast they go, by TCP. What the intake refuses for now (R9) is offered again by
the service, as a client that sends binary messages has named no index to send again; `slow_down` says why it waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from collator.errors import CollatorError, Removed, Unknown
from collator.intake import Intake
from collator.packet import Packet, PacketLimits, Receipt, Status
from collator.seams.ledger import Ledger
from collator.seams.outbox import Outbox
from collator.states import State
from collator.web.ack_progress import AckProgress
from collator.web.auth import Auth
from collator.web.feeds import Feeds
from collator.web.gathered_intake import GatheredIntake
from collator.web.limits import HttpLimits
from collator.web.loop_turns import LoopTurns
from collator.web.problems import encode
from collator.web.receipts import receipt_problem
from collator.web.request_body import RequestBody
from collator.web.stream_messages import AckMessage, SlowDownMessage
from collator.wire import DECODED

if TYPE_CHECKING:
    from collator.web.websocket import WebSocket

_PAUSE = 5.0
"""Seconds at most until what was refused is offered again."""


class StreamParts(NamedTuple):
    """What all streams have in common."""

    intake: Intake
    gathered_intake: GatheredIntake
    ledger: Ledger
    outbox: Outbox
    feeds: Feeds
    overhead_turns: LoopTurns
    """For what comes and is no packet."""
    auth: Auth
    packet_limits: PacketLimits
    limits: HttpLimits


class StartPoint(NamedTuple):
    """What there is of a resource when a client starts it."""

    next_index: int
    """The first that was not received."""
    state: State
    """Open, where it is unknown."""
    beyond: bool = False
    """Whether some behind it were received."""

    def progress(self, decided: int = 0) -> AckProgress:
        """The progress from here on."""
        return AckProgress(self.next_index, beyond=self.beyond, decided=decided)


class StartedResource:
    """The resource, and the packets of it that came."""

    feed: asyncio.Task[None] | None = None
    """What tells its outcomes."""

    def __init__(
        self,
        parts: StreamParts,
        request: RequestBody,
        socket: WebSocket,
        packet: Packet,
        begin: StartPoint,
        *,
        tell: Callable[[CollatorError], Awaitable[None]],
    ) -> None:
        """Take packets that have in common what *packet* says, behind what was there at the *begin*.

        They come by *request* and are acknowledged on *socket*; *tell* is called with the error for each that is not
        taken.
        """
        self._parts, self._request, self._socket, self._tell = parts, request, socket, tell
        self.resource_id = str(packet.resource_id)
        self.packet = packet
        self.next_index = begin.next_index
        """The index of a binary message."""
        self._progress = begin.progress()
        self._packets: list[Packet] = []
        self._came = 0  # packets since the last were stored, be they good or not

    def came(self) -> None:
        """Count a packet, which may be a good one."""
        self._came += 1

    def add(self, packet: Packet) -> None:
        """Have *packet* stored, soon."""
        self._packets.append(packet)
        self.next_index = packet.index + 1

    async def store(self) -> None:
        """Have the packets that came stored, and acknowledge them. `Unavailable`, `HttpProblem`."""
        if not self._came:
            return
        came, packets = self._came, self._packets
        self._came, self._packets = 0, []
        until = asyncio.get_running_loop().time() + self._parts.limits.stream_idle
        while packets and (refused := await self._accept(packets)):
            self._acknowledge()
            packets = await self._wait(refused, until=until)
        self._progress.decided += came
        if self._progress.unsure:
            self._progress = (await look_at(self._parts.ledger, self.resource_id)).progress(self._progress.decided)
        self._acknowledge()

    async def _accept(self, packets: Sequence[Packet]) -> Sequence[tuple[Packet, Receipt]]:
        """Offer *packets*; those that were refused for now."""
        refused = []
        who = self._request.who
        with self._request.buffer_memory.holding(who, DECODED * len(packets)):
            size = sum([len(packet.payload) for packet in packets])
            receipts = await self._parts.gathered_intake.accept(packets, who=who, size=size)
        for packet, receipt in zip(packets, receipts, strict=True):
            if receipt.status is Status.ACCEPTED or receipt.status is Status.DUPLICATE:
                self._progress.stored(packet.index)
                if self.packet.metadata:  # the resource has it now
                    self.packet = msgspec.structs.replace(self.packet, metadata=msgspec.Raw())
            elif receipt.status is Status.REFUSED:
                refused.append((packet, receipt))
            else:
                await self._tell(receipt_problem(packet, receipt))
        return refused

    async def _wait(self, refused: Sequence[tuple[Packet, Receipt]], *, until: float) -> list[Packet]:
        """Wait until packets that were *refused* may be offered again. `HttpProblem` where it is *until* then."""
        packet, receipt = refused[0]
        if asyncio.get_running_loop().time() > until:
            raise receipt_problem(packet, receipt)
        seconds = min(receipt.retry_after or _PAUSE, _PAUSE)
        self._socket.send(encode(SlowDownMessage(receipt.reason or "", seconds)))
        await self._socket.drain()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._parts.intake.draining.wait(), seconds)
        return [packet for packet, _ in refused]

    def _acknowledge(self) -> None:
        progress = self._progress
        self._socket.send(encode(AckMessage(self.resource_id, progress.next_index - 1, progress.decided)))


async def look_at(ledger: Ledger, resource_id: str) -> StartPoint:
    """Look at what there is of a resource. `Removed`."""
    try:
        report = await ledger.resource(resource_id)
    except Removed:
        raise
    except Unknown:
        return StartPoint(0, State.OPEN)
    gap = report.missing[0][0] if report.missing else report.received
    return StartPoint(gap, report.state, beyond=report.received > gap)
