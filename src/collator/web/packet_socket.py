"""`/v1/stream`: packets, one resource after the other, and what becomes of them, over WebSocket.

What lives here: which connection becomes a stream, and how it ends. What does not: its messages (`stream_session`).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from starlette.types import Send

from collator.errors import CollatorError
from collator.web.audit import Audit
from collator.web.load import Load
from collator.web.problems import HttpProblem, ProblemType, problem_of
from collator.web.refusals import Asked, Refusals
from collator.web.request_body import UPGRADE, ClientGone, RequestBody, log_defect
from collator.web.started_resource import StreamParts
from collator.web.stream_messages import error_message
from collator.web.stream_session import StreamSession
from collator.wire import longest_packet

if TYPE_CHECKING:
    from collator.web.websocket import WebSocket

_OFFER = "this path speaks WebSocket: the request must offer it (Connection: Upgrade, Upgrade: websocket)"
_OFFERED = ((b"upgrade", b"websocket"), (b"connection", b"upgrade"))
_NORMAL, _GOING_AWAY, _NO_TEXT, _POLICY, _TOO_LARGE, _DEFECT, _LATER = 1000, 1001, 1007, 1008, 1009, 1011, 1013
_CODES = {ProblemType.MALFORMED: _NO_TEXT, ProblemType.TOO_LARGE: _TOO_LARGE, ProblemType.REFUSED: _LATER}
_CLASSES = {4: _POLICY, 5: _LATER}
"""The codes of the close for problems that end a stream, by kind and else by class (RFC 6455, 7.4.1)."""


class PacketSockets:
    """The endpoint for streams over WebSocket, up to a number at a time."""

    def __init__(self, parts: StreamParts, *, audit: Audit, refusals: Refusals, load: Load) -> None:
        """Serve streams by *parts*, where there is a place in *load* for them.

        Note in *refusals* what was not taken, and in *audit* what a token is not for.
        """
        self._parts, self._audit, self._refusals, self._load = parts, audit, refusals, load

    async def open(self, request: RequestBody, _send: Send) -> None:
        """Take the offer of *request*, and serve its stream to the end. `Unavailable`, `HttpProblem`."""
        if UPGRADE not in request.scope:
            raise HttpProblem(ProblemType.UPGRADE_REQUIRED, _OFFER, headers=_OFFERED)
        from collator.web.websocket import WebSocket  # here, as a library has none, and it takes time to load

        refusal = self._parts.intake.refusal()
        if refusal is not None:
            raise refusal
        with self._load.instead(self._load.streams, request.who, retry_after=5.0):
            socket = WebSocket(
                request,
                longest=longest_packet(self._parts.packet_limits),
                limits=self._parts.limits,
                overhead_turns=self._parts.overhead_turns,
            )
            watching = asyncio.create_task(self._watch(socket))
            try:
                # In a task of its own: each message would go through all coroutines above this one.
                await asyncio.create_task(self._serve(request, socket))
            finally:
                watching.cancel()

    async def _serve(self, request: RequestBody, socket: WebSocket) -> None:
        """Serve the stream on *socket*, and close it: no error of it has another answer."""
        code, reason = _DEFECT, ""
        try:
            with suppress(ClientGone):
                await StreamSession(self._parts, request, socket, told=lambda error: self._note(request, error)).run()
            code = _GOING_AWAY if socket.stopping else _NORMAL
            if socket.violation is not None:
                self._note(request, socket.violation)
        except CollatorError as error:
            refusal = problem_of(error)
            code = _CODES.get(refusal.kind) or _CLASSES[refusal.kind.status // 100]
            reason = f"{refusal.kind.code}: {refusal.detail}"
            socket.send(error_message(refusal))
            self._note(request, refusal)
            await self._audit.refused(request, refusal)
        except Exception:  # noqa: BLE001 - logged, and told
            socket.send(error_message(log_defect(request.scope["method"])))
        finally:
            socket.close(code, reason)

    def _note(self, request: RequestBody, error: CollatorError) -> None:
        self._refusals.note(problem_of(error), Asked.by(request.scope))

    async def _watch(self, socket: WebSocket) -> None:
        await self._parts.intake.draining.wait()
        socket.wake()
