"""One connection: the bytes of a request out, those of its answer in. What they come to, the reader says.

Theory. The transport pauses at the first byte that the kernel does not take, so *sent* is exact: all was written, and
nothing is paused. A large body goes out in pieces, one a turn of the event loop and each once the kernel has the one
before, so that a slow receiver costs no memory. A receiver may answer and close before it has read all (413): then
writing fails, and what it said is still in the socket, and is read from there.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from contextlib import aclosing
from typing import cast

from collator.egress.answer import NoAnswer
from collator.egress.body import PIECE, Pieces, as_pieces
from collator.egress.exchange import Outcome, WireExchange
from collator.egress.failure import no_answer
from collator.egress.head import NotHttp
from collator.egress.reader import AnswerReader, read_whole
from collator.egress.tls import Tls
from collator.forks import Kept

_READ = 64 * 1024
_SMALL = 4096  # bytes of an answer that may be remembered


class OutboundConnection(asyncio.Protocol):
    """An established connection, for one exchange at a time."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        free: Callable[[OutboundConnection], None],
        lost: Callable[[OutboundConnection], None],
    ) -> None:
        """*sock* is connected; *free* is called when an exchange is over and another can follow, *lost* at the end."""
        self._loop = asyncio.get_running_loop()
        self._sock = sock
        self._kept = Kept(lambda: [sock.fileno()])  # a receiver sees the end that we make, whatever a copy holds
        self._free, self._lost = free, lost
        self._transport: asyncio.Transport
        self._tls: Tls | None = None
        self._secured: asyncio.Future[None] | None = None
        self._exchange: WireExchange | None = None  # that is under way
        self._reader = AnswerReader()
        self._feeding: asyncio.Task[None] | None = None  # as long as not all of the body is written
        self._flows: asyncio.Future[None] | None = None  # done once writing may go on
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False
        self._failed = False  # a write did
        self._used = False
        self.idle = 0.0
        """Seconds that the receiver lets it stand between two exchanges."""

    async def secure(self, tls: Tls) -> None:
        """Shake hands. Raises `ssl.SSLError` or `OSError`."""
        self._tls, self._secured = tls, self._loop.create_future()
        self.data_received(b"")
        await self._secured

    def begin(self, exchange: WireExchange) -> None:
        """Send the request of *exchange*, and read the answer. `WireExchange.ended` is called in a later turn."""
        self._exchange = exchange
        if self._reader.begun or self._reader.keep != exchange.keep:
            self._reader = AnswerReader(exchange.keep)
        self._limit(exchange)
        head, body = exchange.head, exchange.body
        if isinstance(body, bytes) and len(body) <= PIECE:
            self._write(head + body)
        else:
            self._feeding = self._loop.create_task(self._feed(as_pieces(body)))
            self._write(head)

    def cancel(self, exchange: WireExchange) -> None:
        """Cut *exchange*, if it is under way: it has no end, and the connection none that the receiver expects."""
        if self._exchange is exchange:
            self._exchange = None
            self._stop_feeding()
            self._transport.abort()

    def usable(self) -> bool:
        """Return whether an exchange may begin: nothing has come since the last one, not even the end."""
        try:
            if not (self._transport.is_closing() or (self._tls is not None and self._tls.ended)):
                self._sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        """Close it: in good order where all that was begun is out, else at once."""
        if not self._sent:
            self._transport.abort()
            return
        if self._tls is not None and self._tls.ready and not self._transport.is_closing():
            self._tls.end()
            self._transport.write(self._tls.pending())
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=0)

    def data_received(self, data: bytes) -> None:
        """Take bytes of the answer, or of the handshake; between two exchanges nothing is to come."""
        try:
            if self._tls is not None:
                data = self._open(self._tls, data)
            if data and self._exchange is None:
                self._transport.abort()
            elif data:
                self._read(data)
        except NotHttp as error:
            self._finish(NoAnswer(str(error)))
        except ssl.SSLError as error:
            self._lose(error)
            self._transport.abort()
        if self._tls is not None and self._tls.ended:  # the receiver has, which the transport does not see
            self.eof_received()

    def eof_received(self) -> bool:
        """Take note that no more is coming; whether the connection stays open, to write what is left."""
        if self._exchange is not None and self._reader.head is not None:
            self._reader.end()
            self._look()
        else:
            self._lose(None)
        return self._exchange is not None

    def connection_lost(self, exc: Exception | None) -> None:
        """Read what is left in the socket where that is why, and come to an end."""
        if exc is not None and self._exchange is not None:
            self._failed = self._failed or self._paused
            try:
                while self._exchange is not None and (left := self._sock.recv(_READ)):
                    self.data_received(left)
            except OSError:
                pass
        self._lose(exc)
        if self._timer is not None:
            self._timer.cancel()
        self._lost(self)

    def pause_writing(self) -> None:
        """Write no more for the moment: the kernel has not taken all."""
        self._paused = True

    def resume_writing(self) -> None:
        """Go on: the kernel has taken all that was written."""
        self._paused = False
        if self._flows is not None and not self._flows.done():
            self._flows.set_result(None)
        if self._sent and self._exchange is not None:
            self._look()

    @property
    def _sent(self) -> bool:
        return not (self._feeding or self._paused or self._failed)

    def _open(self, tls: Tls, data: bytes) -> bytes:
        try:
            return tls.feed(data)
        finally:
            if pending := tls.pending():
                self._transport.write(pending)
            if tls.ready and self._secured is not None and not self._secured.done():
                self._secured.set_result(None)

    def _write(self, data: bytes | memoryview) -> None:
        self._transport.write(data if self._tls is None else self._tls.seal(data))
        self._failed = self._transport.is_closing()

    async def _feed(self, body: Pieces) -> None:
        """Write *body*, at the pace at which it is taken; nothing more once it is not."""
        try:
            if not await self._wrote_all(body):
                return
        except Exception as error:  # noqa: BLE001 - whoever sends gets it
            exchange, self._exchange = self._exchange, None
            self._transport.abort()  # the receiver has a part of the body, and gets no more
            if exchange is not None:
                exchange.ended(error)
            return
        self._feeding = None
        if self._sent and self._exchange is not None:
            self._look()

    async def _wrote_all(self, body: Pieces) -> bool:
        async with aclosing(body.checked()) as pieces:
            async for piece in pieces:
                if not await self._wrote(piece):
                    return False
        return True

    async def _wrote(self, piece: bytes | memoryview) -> bool:
        """Write *piece*; whether more can be written."""
        self._write(piece)
        await asyncio.sleep(0)  # others have their turn
        while self._paused and not self._failed:
            self._flows = self._loop.create_future()
            await self._flows
        return not self._failed

    def _read(self, data: bytes) -> None:
        first = not (self._reader.begun or self._reader.keep) and self._sent
        whole = read_whole(data) if first and len(data) <= _SMALL else None
        if whole is not None:
            self._finish(whole.answer, idle=whole.idle)
        else:
            self._reader.feed(data)
            self._look()

    def _look(self) -> None:
        """See whether the exchange is over: a success is one only once all is sent."""
        sent = self._sent
        if self._reader.over and (sent or not self._reader.succeeds):
            self._finish(self._reader.answer(sent=sent), idle=self._reader.idle if sent else 0.0)

    def _lose(self, error: Exception | None) -> None:
        """Nothing more will come, because of *error* or in good order."""
        if self._secured is not None and not self._secured.done():
            self._secured.set_exception(error or ConnectionAbortedError(errno.ECONNABORTED, "during the handshake"))
        if self._exchange is None:
            return
        if self._reader.head is not None:
            self._finish(self._reader.answer(sent=self._sent))
        elif self._used and not self._reader.begun:
            self._finish(None)
        else:
            self._finish(no_answer(error, reached=True))

    def _limit(self, exchange: WireExchange) -> None:
        """Have *exchange* expire in time. A timer stays for the next exchange: one for each was 3 of 22 µs."""
        if self._timer is not None and self._timer.when() > exchange.deadline:
            self._timer.cancel()
            self._timer = None
        self._timer = self._timer or self._loop.call_at(exchange.deadline, self._expire)

    def _expire(self) -> None:
        self._timer, exchange = None, self._exchange
        if exchange is None:
            return
        if exchange.prolong() or self._loop.time() < exchange.deadline:  # the latter: it was set for one before
            self._limit(exchange)
        else:
            self._finish(self._reader.late(exchange.timeout, sent=self._sent))

    def _finish(self, outcome: Outcome, *, idle: float = 0.0) -> None:
        """Tell what came of the exchange, once the connection can have the next one, if it may stand *idle*."""
        exchange, self._exchange = self._exchange, None
        if idle and not self._transport.is_closing():
            self._used, self.idle = True, idle
            self._free(self)
        else:
            self.close()
            self._stop_feeding()
        if exchange is not None:
            exchange.ended(outcome)

    def _stop_feeding(self) -> None:
        if self._feeding is not None:
            self._feeding.cancel()
