"""The guard: one connection, before anything of ours sees a request. No server is safe by default; this one has to be.

What lives here: deadlines (head, body, unread answers), size and count of the head. What does not: what a head may
say (`head`), which hosts it may name (`host_check`), and what is asked.

Theory. The parser is uvicorn's (httptools). A refused request gets one answer and the connection is closed, as the
beginning of a next request could not be known (RFC 9112, 11.2). Where an earlier request on the connection still
waits for its answer, the refused one gets none: it would be taken for the answer to the earlier one.

Deadlines are plain numbers, which the server compares with the time now and then (`check`): no timer a request.
"""

from __future__ import annotations

import asyncio
import math
from itertools import chain

import httptools
from uvicorn.config import Config
from uvicorn.server import ServerState

from collator.web import guard_answers
from collator.web.connections import Admission, Connections
from collator.web.head import bad, check_head
from collator.web.limits import HttpLimits
from collator.web.load import peer
from collator.web.problems import HttpProblem, busy
from collator.web.refusals import Asked, RefusalLog
from collator.web.request_body import HALF_CLOSED, KEPT, PATIENT
from collator.web.request_feed import RequestFeed, RequestProgress
from collator.web.request_head import TARGET_HOST
from collator.web.transport import BufferedTransport


class Guard(RequestFeed):
    """uvicorn's protocol, guarded."""

    def __init__(
        self,
        config: Config,
        state: ServerState,
        limits: HttpLimits,
        refusals: RefusalLog | None = None,
        places: Connections[Guard] | None = None,
    ) -> None:
        """Serve one connection within *limits*, in one of the *places*; note in *refusals* what is refused here."""
        super().__init__(config, state, {}, most=limits.max_pipelined)
        self.limits = limits
        self.refusals = refusals
        self.places = Connections(limits.max_connections) if places is None else places
        self.admission = Admission.TAKEN
        self.reading = RequestProgress.NOTHING
        self.deadline = math.inf  # on the loop's clock, for what is being read
        self.moved = self.loop.time()  # when something came last
        self.last = False  # whether the connection ends with the request whose head is being read
        self.piece = 0  # size of what came last
        self.begun = 0  # size of the piece in which a head began
        self.framing = 0  # bytes of a head behind its first piece, of trailers, or of blank lines between requests
        self.queued = 0  # bytes of the requests that wait here for the answer to an earlier one
        self.granted = 0  # size of the body for which `deadline` was granted
        self.lost: asyncio.Future[None] = self.loop.create_future()
        """Done when the connection is no more."""

    def check(self, now: float, *, stopping: bool = False) -> None:
        """Act on the deadlines that have passed at *now*, on the loop's clock, and on the stop of the service.

        While it stops, a client that is silent in the middle of a request is told so, and not waited for; nor for long
        is one whose request hardly comes.
        """
        if now <= self.deadline and not stopping:  # this is asked ten times a second of each connection
            self.transport.check(now)
            return
        begun, patience = self.reading in {RequestProgress.HEAD, RequestProgress.BODY}, self.limits.stop_patience
        if stopping and begun and self.deadline > now + patience:
            self.deadline, self.granted = now + patience, self.body_size
        silent = stopping and now - self.moved > self.limits.stop_seconds
        if silent:
            self.transport.linger_seconds = min(self.limits.linger_seconds, self.limits.stop_seconds)
        self.transport.check(now)
        if self.transport.is_closing():
            return
        if now > self.deadline:
            self._late(now, stopping=stopping)
        elif silent and begun and not self._excused():
            self.refuse(guard_answers.stopping())

    def shutdown(self) -> None:
        """Close where no request has begun; else close after the answer to it."""
        if self.reading is RequestProgress.HEAD and (self.cycle is None or self.cycle.response_complete):
            self.last = True
        else:
            super().shutdown()

    def idle_since(self) -> float | None:
        """As `GuardedConnection.idle_since`."""
        under_way = self.cycle is not None and not (self.cycle.response_complete or self.cycle.disconnected)
        return None if under_way or self.pipeline else self.moved

    def give_way(self) -> None:
        """Close at once, as another wants the place, and no request is under way here."""
        if self.refusals is not None:
            self.refusals.note_given_way(self.client)
        self.transport.abort()

    def refuse(self, refusal: HttpProblem) -> None:
        """Answer the newest request with *refusal*, where it can be answered, and read no more."""
        if self.reading is RequestProgress.NO_MORE:
            return
        self._note(refusal)
        in_body, self.reading = self.reading is RequestProgress.BODY, RequestProgress.NO_MORE
        if in_body and self.pipeline and self.pipeline[0][0] is self.cycle:
            self.pipeline.popleft()  # earlier requests wait for their answers; `on_response_complete` closes
            self._count_queued()
        elif in_body:
            self._break_off(refusal)
        elif self.cycle is None or self.cycle.response_complete:
            self._write(refusal)

    # What the transport says.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Wait for a head."""
        super().connection_made(transport)
        self.transport: BufferedTransport = BufferedTransport(transport, self.loop, self.limits, unread=self._unread)
        self.deadline = self.loop.time() + self.limits.head_seconds
        self._ask_for_place()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is no more."""
        super().connection_lost(exc)
        self.places.left(self)
        self.pipeline.clear()
        self._count_queued()
        if not self.lost.done():
            self.lost.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; refuse what it, or one of its callbacks, does not take."""
        self.moved = self.loop.time()
        if self.reading is RequestProgress.NO_MORE:
            self.transport.discard(len(data))
            return
        self.piece = len(data)
        self.framing += len(data)
        try:
            self.feed(data)
        except httptools.HttpParserError as error:
            cause = error.__context__
            self.refuse(cause if isinstance(cause, HttpProblem) else bad(str(error)))
        except HttpProblem as refusal:
            self.refuse(refusal)
        if self.framing > self.limits.head_bytes:
            self.refuse(guard_answers.large_head(self.limits))

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio asks for an answer; uvicorn gives none
        """The client sends no more, as ``nc -N`` says: keep the connection until what came whole is answered."""
        waits = self.cycle is not None and not (self.cycle.response_complete or self.cycle.more_body)
        self.reading, self.deadline = RequestProgress.ENDED, math.inf
        if waits:
            self.cycle.keep_alive = False  # it is the newest: the connection ends with its answer
            noticed = self.cycle.scope.get(HALF_CLOSED)
            if isinstance(noticed, asyncio.Event):
                noticed.set()  # perhaps it has gone for good, which cannot be seen from here
        else:
            self.transport.close()  # by itself asyncio would close without what was written in this turn
        return waits

    # What the parser says. A `HttpProblem` that is raised here stops it.

    def on_message_begin(self) -> None:
        """A head begins; until then the connection is idle, whatever blank lines come."""
        super().on_message_begin()
        self.reading = RequestProgress.HEAD
        self.begun, self.framing = self.piece, 0
        self.deadline = self.loop.time() + self.limits.head_seconds

    def on_headers_complete(self) -> None:
        """Look at the head, then let uvicorn start the application."""
        host, path = self._check_head()
        if self.parser.should_upgrade():
            return  # this head comes once more, without the offer
        self.url = path
        if host:
            self.scope[TARGET_HOST] = host  # type: ignore[literal-required]  # a key of ours
        self.places.asked(self)
        if self.admission is Admission.KEPT:
            self.scope[KEPT] = self.last = True  # type: ignore[literal-required]  # a key of ours
        super().on_headers_complete()
        if self.last:
            self.cycle.keep_alive = False
        self.headers = []  # trailers come here; they are no part of the head (RFC 9110, 6.5.1)
        self.reading = RequestProgress.BODY
        self.framing = self.granted = 0
        self.deadline = self.loop.time() + self.limits.body_seconds

    def on_body(self, body: bytes) -> None:
        """Some of the body is there."""
        self.framing = 0
        super().on_body(body)
        if self.pipeline and self.pipeline[0][0] is self.cycle:
            self._count_queued()
            if why_not := self.places.queued.why_not(peer(self.client)):
                raise busy(why_not)

    def on_message_complete(self) -> None:
        """The request is there."""
        if self.parser.should_upgrade():
            return
        if len(self.headers) > self.limits.head_fields:  # of trailers
            raise guard_answers.large_head(self.limits)
        self.reading = RequestProgress.WHOLE
        self.framing = 0
        self.deadline = math.inf
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Close where no next request can be read, else go on. As uvicorn's, but for its timer for each answer."""
        if self.reading is not RequestProgress.WHOLE and self.reading is not RequestProgress.HEAD and not self.pipeline:
            self.reading = RequestProgress.NO_MORE
            self.transport.close()
        if not self.pipeline:
            self.places.answered(self)  # also where it lingers until the client has taken the answer
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self.reading is RequestProgress.WHOLE:
            self.deadline = self.loop.time() + self.limits.keep_alive_seconds
        if self.queued:
            self._count_queued()

    # Decisions.

    def _count_queued(self) -> None:
        before, self.queued = self.queued, sum(len(cycle.body) for cycle, _ in self.pipeline)
        self.places.queued.take(peer(self.client), self.queued - before)

    def _ask_for_place(self) -> None:
        self.admission, closed = self.places.admit(self)
        if closed is not None:
            closed.give_way()
        if self.admission is Admission.REFUSED:
            self.refuse(guard_answers.no_place(self.limits))
        elif self.admission is Admission.DROPPED:
            self.give_way()

    def _check_head(self) -> tuple[bytes, bytes]:
        """As `check_head`; raises `HttpProblem` for a head that is large, too, and for one request too many."""
        if len(self.headers) > self.limits.head_fields:
            raise guard_answers.large_head(self.limits)
        if len(self.pipeline) >= self.limits.max_pipelined:
            raise guard_answers.pipelined(len(self.pipeline))
        if self.begun + self.framing > self.limits.head_bytes:  # else it cannot be too large
            size = len(self.url) + sum(map(len, chain.from_iterable(self.headers)))
            if size > self.limits.head_bytes:
                raise guard_answers.large_head(self.limits)
        return check_head(*self.first_line(), self.headers)

    def _unread(self) -> bool:
        """Return whether the client may be sending what will not be read."""
        return self.reading is RequestProgress.BODY or self.reading is RequestProgress.NO_MORE

    def _late(self, now: float, *, stopping: bool) -> None:
        if self.reading is RequestProgress.NOTHING or self.reading is RequestProgress.WHOLE:
            self.transport.close()  # it has sent nothing, or nothing more: there is no request to answer
        elif self._excused():
            self.deadline = now + self.limits.body_seconds
        elif self.reading is RequestProgress.HEAD:
            self.refuse(guard_answers.stopping() if stopping else guard_answers.late_head(self.limits))
        elif now > self.deadline + (self.body_size - self.granted) / self.limits.body_rate:
            self.refuse(guard_answers.stopping() if stopping else guard_answers.late_body(self.body_size))

    def _note(self, refusal: HttpProblem) -> None:
        if self.refusals is None:
            return
        begun = self.reading in {RequestProgress.HEAD, RequestProgress.BODY}
        method = self.parser.get_method().decode("latin-1") if begun and self.url else ""
        headers = self.scope["headers"] if begun else ()  # where the head is read, `headers` is for trailers
        self.refusals.note(refusal, Asked(self.client, headers, method, self.url if begun else b""))

    def _excused(self) -> bool:
        """Return whether the client may take longer: the delay is ours, or a stream has its own limits."""
        return self.flow.read_paused or bool(self.scope and self.scope.get(PATIENT))

    def _break_off(self, refusal: HttpProblem) -> None:
        """Refuse a request that the application works on: as if the client had gone, but with an answer."""
        cycle = self.cycle
        if cycle.response_started:
            self.transport.close()
        else:
            self._write(refusal)
        cycle.disconnected = True
        cycle.message_event.set()
        self.places.answered(self)

    def _write(self, refusal: HttpProblem) -> None:
        self.transport.write(guard_answers.last_answer(refusal, self.server_state.default_headers))
        self.transport.close()
