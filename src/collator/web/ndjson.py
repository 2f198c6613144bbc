"""A stream of packets, one a line (NDJSON, JSON Lines): judged line by line, committed as it comes, open for hours.

What lives here: the flow of one stream. What does not: lines (`lines`), counts (`summary`), receipts
(`receipt_writer`).

Theory. What one read gives is one group: one call of the intake, one future, however many packets it has. A few groups
are on their way to the disk at any moment; while there are as many as there may be, nothing is read, and the sender
feels it (TCP). Groups end in order. A stream ends when the sender ends it, is silent for too long, or goes away; when
the service stops; or when a group could not be stored. Whatever ends it, the groups that were offered are waited for
and the summary says how many lines are decided: the sender goes on from there.
"""

from __future__ import annotations

import asyncio
from asyncio import FIRST_COMPLETED
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from collator.errors import CollatorError, Unavailable
from collator.intake import Intake
from collator.packet import PacketLimits, Receipt
from collator.web.auth import check_reach
from collator.web.limits import HttpLimits
from collator.web.lines import Block, LineGroup, Splitter, judge, judge_steps
from collator.web.problems import HttpProblem, ProblemType
from collator.web.request_body import ClientGone, RequestBody
from collator.wire import longest_packet

LONG = 64 * 1024
"""Bytes of a line that every stream may hold; the rest of a longer one is read once it fits."""
MEDIA_TYPES = frozenset({"application/x-ndjson", "application/jsonl"})

Told = Callable[[LineGroup, Sequence[Receipt]], None]
"""What is called with each group that was decided, in order."""


class PacketStream:
    """One stream. `run` it once; `end` it from outside at any time."""

    def __init__(
        self, intake: Intake, request: RequestBody, *, packet_limits: PacketLimits, limits: HttpLimits, told: Told
    ) -> None:
        """Offer to *intake* what comes as the body of *request*, and tell *told*."""
        self._intake = intake
        self._request = request
        self._who, self._buffer_memory, self._turns = request.who, request.buffer_memory, request.turns
        self._packet_limits = packet_limits
        self._limits = limits
        self._told = told
        self._ended: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()
        self._pending: deque[tuple[LineGroup, asyncio.Future[Sequence[Receipt]]]] = deque()
        self._bytes = 0
        self._failed = False

    async def run(self) -> CollatorError | None:
        """Take the stream; why it was ended early, if it was. Raises `ClientGone`."""
        watching = asyncio.create_task(self._watch())
        try:
            await self._take()
        finally:
            watching.cancel()
            self._failed = self._failed or bool(self._pending)  # only where this call was cancelled: no receipts then
            for _, deciding in self._pending:
                deciding.cancel()  # `_flush_decided` gives back what they held
        why = self._ended.result() if self._ended.done() else None
        if why is None or isinstance(why, CollatorError):
            return why
        raise why

    def end(self, why: BaseException) -> None:
        """Read no further. The first reason counts."""
        if not self._ended.done():
            self._ended.set_result(why)

    async def _take(self) -> None:
        try:
            await self._read()
        except (ClientGone, HttpProblem) as why:
            self.end(why)
        while self._pending:
            await self._oldest()

    async def _read(self) -> None:
        splitter = Splitter(longest_packet(self._packet_limits))
        while not (self._request.whole or self._ended.done()):
            with self._buffer_memory.holding(self._who, splitter.held):
                read = await self._next(LONG if splitter.held > LONG else 0)
            with self._buffer_memory.holding(self._who, len(read)):
                await self._offer_each(splitter, read)
        rest = splitter.end()
        if rest and self._request.whole:
            await self._offer(await self._judged(rest, cut_off=True))

    async def _offer_each(self, splitter: Splitter, read: bytes) -> None:
        size = self._limits.group_bytes
        for start in range(0, len(read), size):
            for block in splitter.feed(read[start : start + size]):
                await self._offer(await self._judged(block))

    async def _judged(self, block: Block, *, cut_off: bool = False) -> LineGroup:
        if not block.long:
            return judge(block, self._packet_limits, cut_off=cut_off)
        return await self._turns.drive(self._who, judge_steps(block, self._packet_limits, cut_off=cut_off))

    async def _next(self, capacity: int) -> bytes:
        """The next piece of the body, once there is *capacity* for it; nothing where the stream was ended."""
        reading = asyncio.ensure_future(self._piece(capacity))
        try:
            either: set[asyncio.Future[Any]] = {reading, self._ended}
            await asyncio.wait(either, timeout=self._limits.stream_idle, return_when=FIRST_COMPLETED)
            if reading.done():
                return reading.result()
        finally:
            reading.cancel()
        self.end(
            HttpProblem(
                ProblemType.STREAM_IDLE,
                f"no data for {self._limits.stream_idle:g} s (stream_idle_timeout); continue in a new request",
            )
        )
        return b""

    async def _piece(self, capacity: int) -> bytes:
        if capacity:
            try:
                await asyncio.wait_for(self._buffer_memory.wait_for(self._who, capacity), self._limits.body_seconds)
            except TimeoutError:
                self._buffer_memory.check(self._who, capacity)
        return (await self._request.chunk())[0]

    async def _offer(self, group: LineGroup) -> None:
        """Send *group* on its way to the disk, once it fits, or no other is on its way.

        The stream ends where its caller may not send one of them.
        """
        try:
            check_reach(self._request.caller, (packet.resource_id for packet in group.packets))
        except HttpProblem as refusal:
            self.end(refusal)
        while self._pending and not self._has_capacity(group):
            await self._oldest()
        if self._ended.done():
            return
        accepting = self._intake.accept(group.packets, who=self._who, size=group.size) if group.packets else _nothing()
        deciding = asyncio.ensure_future(accepting)
        self._pending.append((group, deciding))
        self._bytes += group.cost
        self._buffer_memory.take(self._who, group.cost)
        deciding.add_done_callback(self._flush_decided)
        if not group.packets or group.size >= self._limits.group_bytes:
            await self._turns.turn(self._who)  # nothing has to be waited for; yet others have their turn

    def _has_capacity(self, group: LineGroup) -> bool:
        limits = self._limits
        if len(self._pending) >= limits.max_groups or self._bytes + group.cost > limits.max_group_bytes:
            return False
        return not self._buffer_memory.why_not(self._who, group.cost)

    async def _oldest(self) -> None:
        await asyncio.wait({self._pending[0][1]})
        self._flush_decided()

    def _flush_decided(self, _: object = None) -> None:
        """Tell of the groups that are decided, in order, up to one that could not be stored: it ends the stream."""
        while self._pending and self._pending[0][1].done():
            group, deciding = self._pending.popleft()
            self._bytes -= group.cost
            self._buffer_memory.give(self._who, group.cost)
            error = asyncio.CancelledError() if deciding.cancelled() else deciding.exception()
            if error is not None:
                self._failed = True
                self.end(error)
            elif not self._failed:
                self._told(group, deciding.result())

    async def _watch(self) -> None:
        await self._intake.draining.wait()
        self.end(Unavailable("the service is stopping; continue in a new request", retry_after=5.0))


async def _nothing() -> Sequence[Receipt]:
    return ()
