"""A guarded connection that may leave HTTP: the request that offers it is judged as any other, and its handler leaves.

What lives here: when a connection may leave, and what the guard still does for it: the places, the deadlines for a
client that does not read, and the end of the service. What does not: the other protocol (`websocket`).

Theory. Where two servers on the way of a request differ on whether it has left HTTP, one takes for a request what the
other takes for a message. So a connection leaves only behind a request that came whole, without a body, and with
nothing behind it: a client has to wait for the answer before it goes on (RFC 6455, 4.1). Whatever came behind it is
read as HTTP, and the offer is refused.
"""

from __future__ import annotations

import math
from typing import cast

from collator.web.buffer_memory import BufferMemory
from collator.web.byte_stream import ByteStream, StreamOutput
from collator.web.guard import Guard
from collator.web.head import bad
from collator.web.request_body import UPGRADE
from collator.web.request_feed import RequestProgress

_OFFERED = b"websocket"


class UpgradeConnection(Guard):
    """The guard, for connections that may leave HTTP."""

    stream: ByteStream | None = None
    """The bytes of a connection that has left."""

    def leave(self, answer: bytes, *, who: str, buffer_memory: BufferMemory) -> ByteStream:
        """Write *answer*, which says that the connection leaves HTTP; its bytes from now on.

        They count for *who* in *buffer_memory*. `HttpProblem` where anything came with the request, or behind it.
        `close` it.
        """
        if self.reading is not RequestProgress.WHOLE or self.body_size or self.framing or self.pipeline:
            raise bad("nothing may be sent with a request that offers WebSocket, nor behind it before its answer")
        self.reading, self.deadline = RequestProgress.LEFT, math.inf
        self.cycle.response_started = True
        self.transport.write_through(answer)
        self.stream = ByteStream(self.flow, cast("StreamOutput", self.transport), who=who, buffer_memory=buffer_memory)
        return self.stream

    def close(self) -> None:
        """Close a connection that has left, once the client has what was written."""
        if self.stream is not None:
            self.stream.discard()
        self.reading = RequestProgress.NO_MORE
        self.cycle.response_complete = True
        self.places.answered(self)
        if not self.transport.is_closing():
            self.flow.resume_reading()  # to see its end
        self.transport.close()

    def shutdown(self) -> None:
        """As the guard's; who works on a connection that has left is told."""
        super().shutdown()
        if self.stream is not None:
            self.stream.stop()

    # What the transport says.

    def data_received(self, data: bytes) -> None:
        """Pass on what comes on a connection that has left."""
        if self.stream is not None and self.reading is RequestProgress.LEFT:
            self.moved = self.loop.time()
            self.stream.feed(data)
        else:
            super().data_received(data)

    def eof_received(self) -> bool:  # type: ignore[override]  # as the guard has it
        """The client sends no more, which ends a connection that has left."""
        if self.stream is None or self.reading is not RequestProgress.LEFT:
            return super().eof_received()
        self.stream.end()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is no more."""
        super().connection_lost(exc)
        if self.stream is not None:
            self.stream.end()

    # What the parser says.

    def on_headers_complete(self) -> None:
        """Have a request say that it offers WebSocket, where that was in its head."""
        offer, self.offer = self.offer, b""
        if offer.strip().lower() == _OFFERED:
            self.scope[UPGRADE] = self  # type: ignore[literal-required]  # a key of ours
        super().on_headers_complete()
