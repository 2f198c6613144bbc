"""WebSocket (RFC 6455) over the bytes of a connection: messages in and out, pings, and the end.

The frames are those of the library `websockets`, which knows no input and output. No extension is agreed on: packed
messages (permessage-deflate) would have no limit until they are unpacked.

Theory. What came is parsed in pieces, for a millisecond in a turn of the event loop, as a read may hold thousands of
frames. Before more is read, the client has to have taken what is written: so who floods with pings, or does not read,
makes the service hold no more for him. Overhead, frames that complete no message and messages that are wrong, waits
now and then for a turn of its own, which all connections share; what came behind it is read no further until then. A
client from which nothing comes is pinged, and given up where it stays silent.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from websockets.datastructures import Headers
from websockets.exceptions import PayloadTooBig
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from collator.text import shorten
from collator.web.head import bad
from collator.web.limits import KIB, HttpLimits
from collator.web.loop_turns import LoopTurns
from collator.web.problems import HttpProblem, ProblemType
from collator.web.request_body import UPGRADE, RequestBody

if TYPE_CHECKING:
    from collator.web.upgrade_connection import UpgradeConnection

_LONG = 64 * KIB
"""Bytes of a message that every connection may hold; the rest of a longer one is read once it fits."""
_PIECE = KIB  # bytes that are parsed in one go: 170 of the shortest frames
_MOST_OVERHEAD = 160  # frames that complete no message, until the next wait for a turn: a millisecond of work
_LEAST = 0.2  # seconds for the answer to a ping, though it may have waited here to be read
_MOST_REASON = 120  # bytes of the reason of a close; its frame has 123 for it


class SocketMessage(NamedTuple):
    """A whole message."""

    data: bytes
    binary: bool


class WebSocket:
    """One connection."""

    def __init__(self, request: RequestBody, *, longest: int, limits: HttpLimits, overhead_turns: LoopTurns) -> None:
        """Take the offer of *request*; a message has up to *longest* bytes, and overhead waits for *overhead_turns*.

        Raises `HttpProblem` where it is no right one.
        """
        connection: UpgradeConnection = request.scope[UPGRADE]
        head = _accepted(request, connection)
        self._protocol = ServerProtocol(state=State.OPEN, max_size=longest)
        self._who, self._turns, self._buffer_memory = request.who, request.turns, request.buffer_memory
        self._overhead_turns = overhead_turns
        self._overhead = 0
        self._stream = connection.leave(head, who=self._who, buffer_memory=self._buffer_memory)
        request.answering = True
        self._connection, self._limits = connection, limits
        self._loop = asyncio.get_running_loop()
        self._heard, self._pinged = self._loop.time(), 0.0
        self.until = math.inf
        """When `messages` gives what is there, be it nothing, on the clock of the loop."""
        self._parts = bytearray()  # of a message that has begun
        self._binary = False
        self._held = 0  # bytes of a frame that has begun
        self._unread = 0  # bytes that were written since the client was waited for

    @property
    def stopping(self) -> bool:
        """Whether the service closes its connections."""
        return self._stream.stopping

    @property
    def violation(self) -> HttpProblem | None:
        """The reason why the frames of the client ended the connection."""
        fault = self._protocol.parser_exc
        if isinstance(fault, PayloadTooBig):
            return HttpProblem(ProblemType.TOO_LARGE, f"message: {fault}")
        if fault is None or isinstance(fault, EOFError):
            return None
        return bad(f"invalid WebSocket frame: {fault}")

    @property
    def ended(self) -> bool:
        """Whether its client has gone, or the service closes its connections."""
        return self._stream.ended or self._stream.stopping

    def wake(self) -> None:
        """Have `messages` give what is there, be it nothing."""
        self._stream.wake()

    async def messages(self) -> AsyncGenerator[Sequence[SocketMessage], None]:
        """The messages of each read, in order, until the end; none where nothing came for a while, or it was woken.

        `HttpProblem` where there is no memory for a long one.
        """
        while self._is_open():
            with self._buffer_memory.holding(self._who, self._held + len(self._parts)):
                await self.limit_overhead()
                if self._held + len(self._parts) > _LONG:
                    await self._wait_for_memory()
                data = await self._read()
            with self._buffer_memory.holding(self._who, len(data)) as holding:
                messages = await self._parsed(data)
                holding.hold(sum([len(message.data) for message in messages]))
                yield messages
            await self.drain()
            self._look_after(data)

    def send(self, data: bytes) -> None:
        """Send the message *data*, text; nothing where the end has begun."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_text(data)
            self._write()

    def send_at_once(self, messages: Sequence[bytes]) -> bool:
        """Send *messages*, which are not much, where the client takes what it is sent; whether it does."""
        if not (self._is_open() and self._stream.writable):
            return False
        unread = self._unread  # which these are not
        for message in messages:
            self.send(message)
        self._unread = unread
        return True

    async def limit_overhead(self, frames: int = 0) -> bool:
        """Count overhead that took as long as so many short *frames*; where it is much, wait. Whether it waited."""
        self._overhead += frames
        if self._overhead < _MOST_OVERHEAD:
            return False
        self._overhead = 0
        await self._overhead_turns.turn(self._who)
        return True

    async def drain(self) -> None:
        """Wait until the client has taken what is much."""
        unread, self._unread = self._unread, 0
        if self._stream.writable:
            return
        with self._buffer_memory.holding(self._who, unread):
            await self._stream.drain()

    def close(self, code: int, reason: str) -> None:
        """End the connection with *code*, where the client has not ended it."""
        words = shorten(reason, _MOST_REASON).encode()[:_MOST_REASON].decode(errors="ignore")
        self._protocol.fail(code, words)
        self._write()
        self._connection.close()

    def _is_open(self) -> bool:
        return self._protocol.state is State.OPEN and not self.ended

    async def _read(self) -> bytes:
        """Read what comes next; nothing where the client is to be pinged, or given up, or it is `until`."""
        now = self._loop.time()
        silence = max(self._heard, self._pinged) + self._limits.ping_seconds - now
        if self._pinged:
            silence = max(silence, _LEAST)
        return await self._stream.read(max(0.0, min(silence, self.until - now)))

    def _look_after(self, came: bytes) -> None:
        """Ping a client of which nothing *came* for long; give up one that does not answer."""
        now = self._loop.time()
        if came:
            self._heard, self._pinged = now, 0.0
        elif self._pinged and now >= self._pinged + self._limits.ping_seconds:
            self._stream.end()
        elif not self._pinged and now >= self._heard + self._limits.ping_seconds and self._is_open():
            self._pinged = now
            self._protocol.send_ping(b"")
            self._write()

    async def _wait_for_memory(self) -> None:
        try:
            await asyncio.wait_for(self._buffer_memory.wait_for(self._who, _LONG), self._limits.body_seconds)
        except TimeoutError:
            self._buffer_memory.check(self._who, _LONG)

    async def _parsed(self, data: bytes) -> list[SocketMessage]:
        """The messages in *data*, up to where the overhead is much: what follows is put back."""
        messages: list[SocketMessage] = []
        pace = self._turns.pace(self._who)
        for start in range(0, len(data), _PIECE):
            if self._overhead >= _MOST_OVERHEAD:
                self._stream.put_back(data[start:])
                break
            await pace.step()
            piece = data[start : start + _PIECE]
            self._protocol.receive_data(piece)
            frames = self._protocol.events_received()
            self._held = len(piece) if frames else self._held + len(piece)
            whole = [message for frame in frames if (message := self._joined(frame)) is not None]
            messages += whole
            self._overhead += len(frames) - len(whole)
            self._write()
        return messages

    def _joined(self, frame: object) -> SocketMessage | None:
        """The message that *frame* completes."""
        if not isinstance(frame, Frame) or frame.opcode not in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            return None
        if frame.opcode is not Opcode.CONT:
            self._binary = frame.opcode is Opcode.BINARY
            if frame.fin:
                return SocketMessage(bytes(frame.data), self._binary)
        self._parts += frame.data
        if not frame.fin:
            return None
        message = SocketMessage(bytes(self._parts), self._binary)
        self._parts.clear()
        return message

    def _write(self) -> None:
        if data := b"".join(self._protocol.data_to_send()):  # an empty one says that nothing more comes: `close` does
            self._stream.write(data)
            self._unread += len(data)


def _accepted(request: RequestBody, connection: UpgradeConnection) -> bytes:
    """The head of the answer that takes the offer of *request*. Raises `HttpProblem` where it is no right one."""
    scope = request.scope
    headers = Headers((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
    headers["Upgrade"] = "websocket"  # the parser of requests was not shown it
    handshake = ServerProtocol()
    answer = handshake.accept(Request(scope["path"], headers, scope["method"], f"HTTP/{scope['http_version']}"))
    if answer.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
        raise bad(f"invalid request for WebSocket: {handshake.handshake_exc}")
    del answer.headers["Date"]
    for name, value in connection.server_state.default_headers:
        answer.headers[name.decode()] = value.decode()
    return answer.serialize()
