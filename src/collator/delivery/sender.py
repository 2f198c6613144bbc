"""One attempt: find the body and the endpoint, sign, send, and judge what came back.

A body that did not come with its delivery is read twice, piece by piece: once to verify and sign it, for nothing may be
sent of one that is damaged (P3), and once to send it, as the receiver takes it. So an attempt holds some pieces of it,
however large it is (P5).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import msgspec
import structlog

from collator import __version__
from collator.backoff import Random
from collator.clock import Clock
from collator.delivery.circuit import BreakerState, Passage
from collator.delivery.endpoint import Endpoint
from collator.delivery.verdict import evidence, judge, put_off
from collator.egress import Answer, Body, Egress, NoAnswer, Pieces, length, words
from collator.errors import Damaged, Unavailable, Unknown
from collator.messages import Attempt, Delivery
from collator.metrics import Metrics
from collator.seams.deliveries import DeliveryQueue
from collator.signing import ID, SIGNATURE, TIMESTAMP, Signature, sign
from collator.states import DeliveryState

MAX_WAIT = 10.0
"""Seconds that a leased delivery may wait before it is sent. A lease outlasts the timeout by 15 s (R24): what has
waited longer could still be under way when the ledger hands it out again, so it is given back unsent."""

_TOO_LATE = "it waited too long for a free connection"
_STORE_RETRY = 1.0
_UNKNOWN_RETRY = 60.0

_log = structlog.get_logger("collator.delivery")


class _Request(NamedTuple):
    """A request to be sent."""

    headers: Mapping[str, str]
    body: Body


class Sender:
    """Makes attempts. URL and secrets are looked up at each, so that they can be mended (R20, R21)."""

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
        self._ledger = ledger
        self._endpoints = endpoints
        self._egress = egress
        self._clock = clock
        self._random = random
        self._completion_to_send = metrics.completion_to_send
        self._request_seconds = metrics.request_seconds
        self._headers = {"content-type": "application/json", "user-agent": f"collator/{__version__}"}

    async def deliver(self, delivery: Delivery, taken_at: float, passage: Passage | None) -> Attempt:
        """Try once to deliver what was leased at *taken_at* (monotonic clock) and passed its circuit, if it has one."""
        endpoint = self._endpoints.get(delivery.endpoint)
        if endpoint is None or passage is None:
            return put_off(delivery, f"endpoint {delivery.endpoint!r} is not configured", _UNKNOWN_RETRY)
        if self._clock.monotonic() - taken_at > MAX_WAIT:  # here too, before a large body is read in vain
            return put_off(delivery, _TOO_LATE)
        try:
            return await self._try_once(endpoint, delivery, taken_at, passage)
        except Damaged as error:
            return Attempt(delivery, DeliveryState.DEAD, error.detail)
        except (Unavailable, Unknown) as error:
            return put_off(delivery, error.detail, _STORE_RETRY)

    async def _try_once(self, endpoint: Endpoint, delivery: Delivery, taken_at: float, passage: Passage) -> Attempt:
        request = await self._request(endpoint, delivery)
        began, size = self._clock.monotonic(), length(request.body)
        if began - taken_at > MAX_WAIT:
            return put_off(delivery, _TOO_LATE)
        if delivery.known_at:
            self._completion_to_send.observe(began - delivery.known_at)
        answer = await self._post(endpoint, delivery, request)
        now = self._clock.monotonic()
        self._request_seconds.labels(endpoint.name).observe(now - began)
        if endpoint.handler is None:  # a part of this process is never away
            self._report(endpoint.name, passage, answer, size=size)
        attempt = judge(
            answer,
            delivery,
            size=size,
            probe=passage.passed.probe,
            wait=passage.circuit.wait(now),
            now=self._clock.wall(),
            random=self._random,
        )
        return msgspec.structs.replace(attempt, seconds=now - began)

    async def _request(self, endpoint: Endpoint, delivery: Delivery) -> _Request:
        """Sign the request. `Damaged`, `Unavailable`, `Unknown`."""
        webhook_id, timestamp = delivery.webhook_id, int(self._clock.wall())
        secrets = None if endpoint.secrets is None else endpoint.secrets.current()
        if secrets is None or endpoint.handler is not None:
            return _Request(self._headers, await self._ledger.body(delivery))
        body: Body
        if delivery.body is None:
            signature, size = Signature(secrets, webhook_id, timestamp), 0
            async for piece in self._ledger.pieces(delivery):
                signature.update(piece)
                size += len(piece)
            signed, body = signature.value(), Pieces(size, partial(self._ledger.pieces, delivery))
        else:
            signed, body = sign(secrets, webhook_id, timestamp, delivery.body), delivery.body
        return _Request({**self._headers, ID: webhook_id, TIMESTAMP: str(timestamp), SIGNATURE: signed}, body)

    async def _post(self, endpoint: Endpoint, delivery: Delivery, request: _Request) -> Answer | NoAnswer:
        if endpoint.handler is not None and isinstance(request.body, bytes):
            return await endpoint.handler(delivery.webhook_id, request.body)
        return await self._egress.send(
            endpoint.url, request.headers, request.body, timeout=endpoint.timeout, tls=endpoint.tls
        )

    def _report(self, name: str, passage: Passage, answer: Answer | NoAnswer, *, size: int) -> None:
        """Tell the circuit; a line where a breaker opens or closes."""
        circuit, reason = passage.circuit, words(answer, size=size)
        before = circuit.state
        circuit.report(passage.passed, evidence(answer, now=self._clock.wall()), self._clock.monotonic(), reason)
        if before is BreakerState.CLOSED and circuit.open:
            _log.warning("receiver fails; deliveries paused", endpoint=name, reason=reason)
        elif before is not BreakerState.CLOSED and not circuit.open:
            _log.info("receiver works again", endpoint=name)
