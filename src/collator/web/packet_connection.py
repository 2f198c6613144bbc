"""A guarded connection on which requests with single packets are answered directly, and all others by the app.

A request starts at the end of the read in which its head came. If it came whole, `DirectPackets` may take it, and no
cycle of ASGI runs for it. If it is besides all that the read holds, its head is kept (`KnownHeads`): the next one that
is equal byte for byte, and comes whole in one read while nothing else is under way, needs no parser.
"""

from __future__ import annotations

import math
from collections.abc import Coroutine, Sequence
from typing import Any, cast

from starlette.types import Scope
from uvicorn._types import ASGI3Application
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from collator.web.connections import Admission, Connections
from collator.web.cycle import Cycle, WholeCycle
from collator.web.direct_packets import DirectPackets
from collator.web.event_text import ResourceEvent
from collator.web.guard import Guard
from collator.web.limits import HttpLimits
from collator.web.refusals import RefusalLog
from collator.web.request_body import LIVE, HttpAnswer
from collator.web.request_feed import RequestProgress
from collator.web.upgrade_connection import UpgradeConnection


class PacketConnection(UpgradeConnection):
    """The guard, with a short way for packets."""

    def __init__(
        self,
        config: Config,
        state: ServerState,
        limits: HttpLimits,
        refusals: RefusalLog | None,
        places: Connections[Guard],
        *,
        direct: DirectPackets,
    ) -> None:
        """As `Guard`; packets may go to *direct*."""
        super().__init__(config, state, limits, refusals, places)
        self._direct = direct
        self._in_read = False
        self._held: RequestResponseCycle | None = None  # whose head came in this read

    def answer(self, cycle: Cycle, answer: HttpAnswer) -> None:
        """Write *answer*, whole, to the request of *cycle*."""
        if cycle.disconnected:
            return
        cycle.response_started = cycle.response_complete = True
        data = self._direct.bytes.of(answer, self.server_state.default_headers, last=not cycle.keep_alive)
        self.transport.write_through(data)
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def write_live(self, chunk: bytes, _events: Sequence[ResourceEvent]) -> bool:
        """As `LiveConnection.write_live`."""
        cycle = self.cycle
        under_way = cycle.response_started and not cycle.response_complete and cycle.chunked_encoding
        if not under_way or self.flow.write_paused or self.transport.is_closing():
            return False
        self.transport.write_through(chunk)
        return True

    def abort(self) -> None:
        """Close at once."""
        self.transport.abort()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run *work* as a task of the server."""
        task = self.loop.create_task(work)
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    # What the transport says.

    def data_received(self, data: bytes) -> None:
        """Take a request whose head is known; else have the read parsed, and start the request that began in it."""
        if self.stream is not None:  # it has left HTTP
            super().data_received(data)
            return
        rests = self._rests()
        if rests and self._take_known(data):
            return
        self._in_read = True
        try:
            super().data_received(data)
        finally:
            self._in_read = False
        held, self._held = self._held, None
        if held is not None:
            self._start(held, data if rests else b"")

    # What the parser says.

    def on_headers_complete(self) -> None:
        """Have a request say on which connection it came."""
        self.scope[LIVE] = self  # type: ignore[literal-required]  # a key of ours
        super().on_headers_complete()

    # Decisions.

    def _rests(self) -> bool:
        """Return whether nothing is under way, so that what comes next is the first byte of a request."""
        return (
            (self.reading is RequestProgress.WHOLE or self.reading is RequestProgress.NOTHING)
            and (self.cycle is None or self.cycle.response_complete)
            and not (self.framing or self.flow.write_paused or self.transport.is_closing())
            and self.admission is Admission.TAKEN
        )

    def _take_known(self, data: bytes) -> bool:
        known = self._direct.known.find(data)
        if known is None:
            return False
        cycle = WholeCycle()
        if not self._direct.take(self, cycle, known, data[len(data) - known.body_size :]):
            return False
        self.moved = self.loop.time()
        self.cycle = cycle  # type: ignore[assignment]  # it has all that is looked at
        self.reading, self.deadline = RequestProgress.WHOLE, math.inf
        self.places.asked(self)
        return True

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        """Start the request of *cycle*, once all that came with its head is read."""
        del app  # there is one
        if self._in_read:
            self._held = cycle
        else:
            self._start(cycle, b"")

    def _start(self, cycle: RequestResponseCycle, came: bytes) -> None:
        """Have the request of *cycle* answered; *came* is a read that began with it, if any."""
        if not self._take_read(cycle, came):
            super()._start_asgi_task(cycle, self.app)

    def _take_read(self, cycle: RequestResponseCycle, came: bytes) -> bool:
        if cycle.more_body or not cycle.keep_alive or cycle.waiting_for_100_continue or self.flow.write_paused:
            return False
        basis = self._direct.known.basis()
        body = bytes(cycle.body)
        head = self._direct.judge(cast("Scope", cycle.scope), len(body))
        if head is None or not self._direct.take(self, cycle, head, body):
            return False
        if came:
            self._direct.known.keep(came, head, basis)
        return True
