"""One stream over WebSocket: what the messages of a client bring about.

One resource at a time: an acknowledgement, the next index and the pace of a client are those of one. Who has several at
once opens several connections, none of which holds up another.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from collator.errors import CollatorError, Conflict, Malformed, Unavailable, Unknown
from collator.json_text import AT_ONCE, finish
from collator.packet import MAX_INDEX
from collator.seams.operations import Operations
from collator.tokens import Role
from collator.web.auth import check_reach, forbidden
from collator.web.event_text import EndEvent, Place, ResourceEvent
from collator.web.problems import HttpProblem, ProblemType, encode, problem_of
from collator.web.request_body import ClientGone, RequestBody
from collator.web.resource_feed import Position
from collator.web.started_resource import StartedResource, StreamParts, look_at
from collator.web.stream_messages import (
    BeginMessage,
    PacketMessage,
    StartMessage,
    StopMessage,
    binary_packet,
    error_message,
    event_message,
    longest_binary,
    packet_steps,
    read_message,
    started_packet,
    total_of,
)

if TYPE_CHECKING:
    from collator.web.websocket import SocketMessage, WebSocket

_ERROR = 16
"""Short frames that take as long as an error."""


class StreamSession:
    """One stream. `run` it once."""

    def __init__(
        self, parts: StreamParts, request: RequestBody, socket: WebSocket, *, told: Callable[[CollatorError], None]
    ) -> None:
        """Serve who sent *request* on *socket*; *told* is called with each error that is told and ends nothing."""
        self._parts, self._request, self._socket, self._told = parts, request, socket, told
        self._operations = Operations()
        self._loop = asyncio.get_running_loop()
        self._started: StartedResource | None = None
        self._failure: BaseException | None = None  # of what tells outcomes
        self._active = self._loop.time()  # when a message came last, or something ended

    async def run(self) -> None:
        """Serve to the end. What it raises, a `CollatorError` mostly, ends the stream."""
        try:
            async with aclosing(self._socket.messages()) as reads:
                async for messages in reads:
                    await self._serve(messages)
        finally:
            self._leave()

    async def _serve(self, messages: Sequence[SocketMessage]) -> None:
        """Do what the *messages* of one read say, which may be thousands."""
        pace = self._request.turns.pace(self._request.who)
        for message in messages:
            await pace.step()
            await self._take(message)
        if self._started is not None:
            await self._started.store()
        self._check()

    def _check(self) -> None:
        """Raise why the stream ends now, if it does; say when to look again."""
        idle = self._parts.limits.stream_idle
        if self._parts.intake.draining.is_set():
            raise Unavailable("the service is stopping; start again in a new connection", retry_after=5.0)
        if self._failure is not None:
            raise self._failure
        if self._started is None and self._loop.time() > self._active + idle:
            raise HttpProblem(
                ProblemType.STREAM_IDLE, f"no resource was started for {idle:g} s (stream_idle_timeout); connect again"
            )
        self._socket.until = self._active + idle if self._started is None else math.inf

    # Messages.

    async def _take(self, message: SocketMessage) -> None:
        self._active = self._loop.time()
        try:
            if message.binary:
                self._add_binary(message.data)
            else:
                await self._read(message.data)
        except HttpProblem:
            raise
        except (Malformed, Conflict, Unknown) as error:
            await self._tell(error)

    async def _read(self, data: bytes) -> None:
        try:
            data.decode()
        except UnicodeDecodeError as error:
            raise HttpProblem(ProblemType.MALFORMED, f"message: not valid UTF-8 (byte {error.start})") from None
        said = read_message(data)
        if isinstance(said, PacketMessage):
            await self._add(said, data)
            return
        if self._started is not None:
            await self._started.store()
        await (self._start(said) if isinstance(said, StartMessage) else self._stop(said))

    async def _add(self, said: PacketMessage, data: bytes) -> None:
        started = self._open()
        started.came()
        steps = packet_steps(said, started.packet, data, self._parts.packet_limits)
        try:
            packet = await self._request.turns.drive(self._request.who, steps) if len(data) > AT_ONCE else finish(steps)
        except Malformed as error:
            await self._tell(problem_of(error).with_members({"index": said.index}))
        else:
            started.add(packet)

    def _add_binary(self, data: bytes) -> None:
        started = self._open()
        most = longest_binary(self._parts.packet_limits)
        if len(data) > most:
            raise HttpProblem(ProblemType.TOO_LARGE, f"a binary message may have at most {most} bytes (max_payload)")
        started.came()
        started.add(binary_packet(data, started.packet, started.next_index, self._parts.packet_limits))

    async def _start(self, said: StartMessage) -> None:
        packet = started_packet(said, self._parts.packet_limits)
        resource_id = str(packet.resource_id)
        caller = self._request.caller
        if b"authorization" in self._request.headers:  # a token may have been taken back since
            caller = self._parts.auth.identify(self._request.headers)
            self._parts.auth.require(caller, Role.SEND)
        check_reach(caller, [resource_id])
        if said.outcomes and caller is not None and not caller.may(Role.READ):
            raise forbidden(caller, Role.READ, "outcomes")
        self._leave()
        begin = await look_at(self._parts.ledger, resource_id)
        self._started = StartedResource(self._parts, self._request, self._socket, packet, begin, tell=self._tell)
        self._socket.send(encode(BeginMessage(resource_id, begin.next_index, begin.state)))
        if said.outcomes:
            feed = self._tell_outcomes(resource_id, after_seq=said.after_seq or 0)
            self._started.feed = self._loop.create_task(feed)
            self._started.feed.add_done_callback(self._fed)

    async def _stop(self, said: StopMessage) -> None:
        started, outbox = self._open(), self._parts.outbox
        total = total_of(said, started.next_index, self._parts.packet_limits)
        refusal = self._parts.intake.refusal() if total == 0 else None  # it may open a resource, as a packet does (R9)
        if refusal is not None:
            raise refusal
        done = await self._operations.certain(
            self._parts.ledger.complete, started.resource_id, total=total, capacity=outbox.capacity()
        )
        outbox.take(done.deliveries, done.endpoints)
        if started.feed is None:  # else it tells the end once it has told all before
            page = await self._parts.ledger.outputs(started.resource_id, after=MAX_INDEX, limit=1)
            end = EndEvent(started.resource_id, page.state, page.completed_by, page.total, page.webhook_id)
            self._socket.send(event_message(ResourceEvent(b"end", encode(end))))
            self._leave()

    # The resource.

    async def _tell_outcomes(self, resource_id: str, *, after_seq: int) -> None:
        """Tell the client what becomes of a resource, up to its end. Raises `Removed`, `Damaged`."""
        with self._parts.feeds.follow(resource_id, Position(Place(after_seq))) as follower:
            follower.connection = self
            while not follower.ended:
                for event in (await follower.news()).events:
                    self._socket.send(event_message(event))
                await self._socket.drain()

    def write_live(self, _chunk: bytes, events: Sequence[ResourceEvent]) -> bool:
        """As `LiveConnection.write_live`."""
        return self._socket.send_at_once([event_message(event) for event in events])

    def _open(self) -> StartedResource:
        if self._started is None:
            raise Malformed("no resource is started: send `start` first")
        return self._started

    def _leave(self) -> None:
        """Have no resource started."""
        started, self._started = self._started, None
        if started is not None and started.feed is not None:
            started.feed.cancel()

    def _fed(self, feed: asyncio.Task[None]) -> None:
        """*feed* has ended: the end of the resource was told, or there is an error."""
        if feed.cancelled() or self._started is None or self._started.feed is not feed:
            return
        self._failure = feed.exception()
        self._started, self._active = None, self._loop.time()
        self._socket.wake()

    async def _tell(self, error: CollatorError) -> None:
        """Tell of *error*, with which the stream goes on. After many, raises `ClientGone`, and as `_check` does."""
        self._told(error)
        self._socket.send(error_message(error))
        await self._socket.drain()
        if await self._socket.limit_overhead(_ERROR):
            if self._socket.ended:
                raise ClientGone
            self._check()
