"""The sender, and one attempt under way: find the body and the endpoint, sign, send, and judge what came back.

An attempt is a small state machine. Where its body came with its delivery it is signed and sent at once, and the answer
is a call from the connection: no task is made. A task is needed only to read a body, or for a part of this process.

A body that did not come with its delivery is read twice, piece by piece: once to verify and sign it, for nothing may be
sent of one that is damaged (P3), and once to send it, as the receiver takes it. So an attempt holds some pieces of it,
however large it is (P5).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import structlog

from collator import __version__
from collator.backoff import Random
from collator.clock import Clock
from collator.delivery.circuit import Passage
from collator.delivery.endpoint import Endpoint, LocalHandler
from collator.delivery.verdict import SUCCESS, evidence, judge, put_off
from collator.distributions import Distribution
from collator.egress import (
    Answer,
    Body,
    Destination,
    Egress,
    NoAnswer,
    OutboundRequest,
    Pieces,
    cleared,
    credentials_of,
    destination,
    length,
    words,
)
from collator.errors import Damaged, Unavailable, Unknown
from collator.messages import Attempt, Delivery
from collator.metrics import Metrics
from collator.seams.deliveries import DeliveryQueue
from collator.signing import ID, SIGNATURE, TIMESTAMP, Signature, sign
from collator.states import DeliveryState

if TYPE_CHECKING:
    from collator.tracing.tracer import DeliverySpan, Tracing

MAX_WAIT = 10.0
"""Seconds that a leased delivery may wait before it is sent. A lease outlasts the timeout by 15 s (R24): what has
waited longer could still be under way when the ledger hands it out again, so it is given back unsent."""

_TOO_LATE = "it waited too long for a free connection"
_STORE_RETRY = 1.0
_UNKNOWN_RETRY = 60.0
_DEFECT_RETRY = 60.0

HEADERS = {"content-type": "application/json", "user-agent": f"collator/{__version__}"}

_log = structlog.get_logger("collator.delivery")


class Sender:
    """Begins attempts. URL and secrets are looked up at each, so that they can be mended (R20, R21)."""

    def __init__(
        self,
        ledger: DeliveryQueue,
        endpoints: Mapping[str, Endpoint],
        egress: Egress,
        *,
        clock: Clock,
        metrics: Metrics,
        random: Random,
    ) -> None:
        """Send to *endpoints*, by name, what *ledger* handed out; *random* is for the jitter."""
        self.tracing: Tracing | None = None
        """Makes a span of each attempt."""
        self.ledger, self.egress = ledger, egress
        self.clock, self.random = clock, random
        self.completion_to_send = metrics.completion_to_send
        self._request_seconds = metrics.request_seconds
        self._endpoints = endpoints
        self._recipients: dict[str, Recipient] = {}

    def begin(
        self, delivery: Delivery, taken_at: float, passage: Passage | None, ended: AttemptEnded
    ) -> UnderWay | Attempt:
        """Try once to deliver what was leased at *taken_at* (monotonic clock) and passed its circuit, if it has one.

        *ended* is called with what comes of it in a later turn of the event loop; what has ended already is returned.
        """
        endpoint = self._endpoints.get(delivery.endpoint)
        if endpoint is None or passage is None:
            return put_off(delivery, f"endpoint {delivery.endpoint!r} is not configured", _UNKNOWN_RETRY)
        if self.clock.monotonic() - taken_at > MAX_WAIT:
            return put_off(delivery, _TOO_LATE)
        recipient = self._recipients.get(endpoint.name)
        if recipient is None or recipient.endpoint is not endpoint:
            recipient = self._recipients[endpoint.name] = self._recipient(endpoint)
        under_way = UnderWay(self, recipient, delivery, taken_at=taken_at, passage=passage, ended=ended)
        try:
            under_way.start()
        except Exception as error:  # noqa: BLE001 - a defect must not cost the delivery
            return failed(error, delivery)
        return under_way

    def _recipient(self, endpoint: Endpoint) -> Recipient:
        """Return the recipient that *endpoint* is, as long as it is not changed."""
        place = destination(endpoint.url, HEADERS, tls=endpoint.tls)
        credentials = None if place is None else credentials_of(place.target)
        return Recipient(endpoint, place, credentials, self._request_seconds.labels(endpoint.name))


class Recipient(NamedTuple):
    """An endpoint, and what is the same for all attempts to deliver there."""

    endpoint: Endpoint
    destination: Destination | None
    credentials: re.Pattern[bytes] | None
    """What is taken out of its answers."""
    seconds: Distribution
    """Takes how long each request took."""


class UnderWay:
    """An attempt under way. It ends once, by a call of *ended*, also where it is cancelled."""

    def __init__(
        self,
        sender: Sender,
        recipient: Recipient,
        delivery: Delivery,
        *,
        taken_at: float,
        passage: Passage,
        ended: AttemptEnded,
    ) -> None:
        """Use `Sender.begin`."""
        self.delivery, self.passage = delivery, passage
        self._sender, self._recipient, self._taken_at = sender, recipient, taken_at
        self._endpoint = recipient.endpoint
        self._ended = ended
        self._task: asyncio.Task[None] | None = None
        self._request: OutboundRequest | None = None
        self._began, self._size = 0.0, 0
        self._span: DeliverySpan | None = None

    def start(self) -> None:
        """Send it, or read its body first."""
        body, handler = self.delivery.body, self._endpoint.handler
        if body is None or handler is not None:
            self._task = asyncio.get_running_loop().create_task(self._run(handler))
            return
        timestamp = int(self._sender.clock.wall())
        webhook_id = self.delivery.webhook_id
        self._send(webhook_id, timestamp, sign(self._endpoint.signs_with(), webhook_id, timestamp, body), body)

    def cancel(self) -> asyncio.Task[None] | None:
        """Cut it; the task that is about to end, where it has one: it is over then."""
        if self._task is not None:
            self._task.cancel()
            return self._task
        if self._request is not None:
            self._request.cancel()
        self._end_span(None)
        self._ended(self, None)
        return None

    def _send(self, webhook_id: str, timestamp: int, signature: str, body: Body) -> None:
        self._begin(length(body))
        fields = f"{ID}: {webhook_id}\r\n{TIMESTAMP}: {timestamp}\r\n{SIGNATURE}: {signature}\r\n"
        fields += "" if self._span is None else self._span.fields
        self._request = self._sender.egress.begin(
            self._recipient.destination, fields, body, self._answered, timeout=self._endpoint.timeout
        )

    def _begin(self, size: int) -> None:
        self._began, self._size = self._sender.clock.monotonic(), size
        if self.delivery.known_at:
            self._sender.completion_to_send.observe(self._began - self.delivery.known_at)
        if self._sender.tracing is not None:
            self._span = self._sender.tracing.delivering(self.delivery)

    def _answered(self, outcome: Answer | NoAnswer | Exception) -> None:
        self._request = None
        self._ended(self, self._judged(outcome))

    def _judged(self, outcome: Answer | NoAnswer | Exception) -> Attempt:
        try:
            attempt = failed(outcome, self.delivery) if isinstance(outcome, Exception) else self._judge(outcome)
        except Exception as error:  # noqa: BLE001 - a defect must not cost the delivery
            attempt = failed(error, self.delivery)
        if self._span is not None:
            self._end_span(attempt, outcome.status if isinstance(outcome, Answer) else None)
        return attempt

    def _end_span(self, attempt: Attempt | None, status: int | None = None) -> None:
        """Tell the trace of *attempt*; `None` where it was cancelled, or never sent."""
        span, self._span = self._span, None
        if span is not None:
            span.ended(attempt, status)

    def _judge(self, answer: Answer | NoAnswer) -> Attempt:
        """Judge *answer*, and tell the circuit of it."""
        sender, circuit, credentials = self._sender, self.passage.circuit, self._recipient.credentials
        if isinstance(answer, Answer) and answer.beginning and credentials is not None:
            answer = cleared(answer, credentials)
        now = sender.clock.monotonic()
        seconds = now - self._began
        self._recipient.seconds.observe(seconds)
        reason = words(answer, size=self._size)
        if isinstance(answer, Answer) and answer.status in SUCCESS and circuit.calm:
            return Attempt(self.delivery, DeliveryState.DELIVERED, reason, seconds=seconds)
        said = evidence(answer, now=sender.clock.wall())
        if self._endpoint.handler is None:  # a part of this process is never away
            was_open = circuit.open
            circuit.report(self.passage, said, now, reason)
            if circuit.open and not was_open:
                _log.warning("receiver fails; breaker open", endpoint=self._endpoint.name, reason=reason)
            elif was_open and not circuit.open:
                _log.info("receiver works again", endpoint=self._endpoint.name)
        return judge(
            answer,
            said,
            self.delivery,
            reason=reason,
            probe=self.passage.probe,
            wait=circuit.wait(now),
            seconds=seconds,
            random=sender.random,
        )

    async def _run(self, handler: LocalHandler | None) -> None:
        """Do what takes more than a turn: until the end, or until the request is under way."""
        attempt: Attempt | None = None
        try:
            attempt = await (self._read_and_send() if handler is None else self._hand_to(handler))
        except asyncio.CancelledError:
            self._end_span(None)
            self._ended(self, None)
            raise
        except Exception as error:  # noqa: BLE001 - a defect must not cost the delivery
            attempt = failed(error, self.delivery)
            self._end_span(attempt)
        self._task = None
        if attempt is not None:
            self._ended(self, attempt)

    async def _read_and_send(self) -> Attempt | None:
        webhook_id, timestamp = self.delivery.webhook_id, int(self._sender.clock.wall())
        signature, size = Signature(self._endpoint.signs_with(), webhook_id, timestamp), 0
        pieces = partial(self._sender.ledger.pieces, self.delivery)
        async for piece in pieces():
            signature.update(piece)
            size += len(piece)
        if self._waited_too_long():
            return put_off(self.delivery, _TOO_LATE)
        self._send(webhook_id, timestamp, signature.value(), Pieces(size, pieces))
        return None

    async def _hand_to(self, handler: LocalHandler) -> Attempt:
        body = await self._sender.ledger.body(self.delivery)
        if self._waited_too_long():
            return put_off(self.delivery, _TOO_LATE)
        self._begin(len(body))
        with nullcontext() if self._span is None else self._span.current():
            outcome = await handler(self.delivery.webhook_id, body)
        return self._judged(outcome)

    def _waited_too_long(self) -> bool:
        return self._sender.clock.monotonic() - self._taken_at > MAX_WAIT


AttemptEnded = Callable[[UnderWay, Attempt | None], None]
"""Takes what came of an attempt; `None` where it was cancelled, and none was made."""


def failed(error: Exception, delivery: Delivery) -> Attempt:
    """The end by *error*, which is not about the receiver: a damaged body is not sent, all else is due again."""
    if isinstance(error, Damaged):
        return Attempt(delivery, DeliveryState.DEAD, error.detail)
    if isinstance(error, Unavailable | Unknown):
        return put_off(delivery, error.detail, _STORE_RETRY)
    _log.error(
        "delivery attempt failed by an internal error",
        endpoint=delivery.endpoint,
        webhook_id=delivery.webhook_id,
        exc_info=error,
    )
    return put_off(delivery, "an internal error; see the log of the service", _DEFECT_RETRY)
