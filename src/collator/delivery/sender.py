"""One attempt: find the body and the endpoint, sign, send, and judge what came back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec
import structlog

from collator import __version__
from collator.backoff import Random
from collator.clock import Clock
from collator.delivery.circuit import BreakerState, Passage
from collator.delivery.endpoint import Endpoint
from collator.delivery.verdict import evidence, judge, put_off
from collator.egress import Answer, Egress, NoAnswer, words
from collator.errors import Damaged, Unavailable
from collator.exchange import Attempt, Delivery
from collator.ledger import Ledger
from collator.metrics import Metrics
from collator.signing import ID, SIGNATURE, TIMESTAMP, SecretFile, sign
from collator.states import DeliveryState

MAX_WAIT = 10.0
"""Seconds that a leased delivery may wait before it is sent. A lease outlasts the timeout by 15 s (R24): what has
waited longer could still be under way when the ledger hands it out again, so it is given back unsent."""

_LARGE = 1024 * 1024
_TOO_LATE = "waited too long for its turn"
_STORE_RETRY = 1.0
_UNKNOWN_RETRY = 60.0

_log = structlog.get_logger("collator.delivery")


class Sender:
    """Makes attempts. URL and secrets are looked up at each, so that they can be mended (R20, R21)."""

    def __init__(
        self,
        ledger: Ledger,
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

    async def attempt(self, delivery: Delivery, taken_at: float, passage: Passage | None) -> Attempt:
        """Try once to deliver what was leased at *taken_at* (monotonic clock) and passed its circuit, if it has one."""
        endpoint = self._endpoints.get(delivery.endpoint)
        if endpoint is None or passage is None:
            return put_off(delivery, f"no endpoint {delivery.endpoint!r} is configured", _UNKNOWN_RETRY)
        if self._clock.monotonic() - taken_at > MAX_WAIT:  # here too, before a large body is fetched in vain
            return put_off(delivery, _TOO_LATE)
        try:
            body = delivery.body if delivery.body is not None else await self._ledger.body(delivery)
        except Damaged as error:
            return Attempt(delivery, DeliveryState.DEAD, error.detail)
        except Unavailable as error:
            return put_off(delivery, error.detail, _STORE_RETRY)
        headers = await self._signed(endpoint.secrets, delivery, body)
        began = self._clock.monotonic()
        if began - taken_at > MAX_WAIT:
            return put_off(delivery, _TOO_LATE)
        if delivery.known_at:
            self._completion_to_send.observe(began - delivery.known_at)
        answer = await self._post(endpoint, delivery, headers, body)
        now = self._clock.monotonic()
        self._request_seconds.labels(endpoint.name).observe(now - began)
        if endpoint.taker is None:  # a part of this process is never away
            self._hear(endpoint.name, passage, answer, size=len(body))
        attempt = judge(
            answer,
            delivery,
            size=len(body),
            probe=passage.passed.probe,
            wait=passage.circuit.wait(now),
            now=self._clock.wall(),
            random=self._random,
        )
        return msgspec.structs.replace(attempt, seconds=now - began)

    async def _post(
        self, endpoint: Endpoint, delivery: Delivery, headers: Mapping[str, str], body: bytes
    ) -> Answer | NoAnswer:
        if endpoint.taker is not None:
            return await endpoint.taker(delivery.webhook_id, body)
        return await self._egress.post(endpoint.url, headers, body, timeout=endpoint.timeout, tls=endpoint.tls)

    def _hear(self, name: str, passage: Passage, answer: Answer | NoAnswer, *, size: int) -> None:
        """Tell the circuit; a line where a breaker opens or closes."""
        circuit, reason = passage.circuit, words(answer, size=size)
        before = circuit.state
        circuit.hear(passage.passed, evidence(answer, now=self._clock.wall()), self._clock.monotonic(), reason)
        if before is BreakerState.CLOSED and circuit.open:
            _log.warning("receiver fails, paused", endpoint=name, reason=reason)
        elif before is not BreakerState.CLOSED and not circuit.open:
            _log.info("receiver is back", endpoint=name)

    async def _signed(self, secrets: SecretFile | None, delivery: Delivery, body: bytes) -> dict[str, str]:
        if secrets is None:
            return self._headers
        webhook_id, timestamp = delivery.webhook_id, int(self._clock.wall())
        what = secrets.current(), webhook_id, timestamp, body
        # A large body takes the hash longer than the event loop may stand still.
        signature = sign(*what) if len(body) <= _LARGE else await asyncio.to_thread(sign, *what)
        return {**self._headers, ID: webhook_id, TIMESTAMP: str(timestamp), SIGNATURE: signature}
