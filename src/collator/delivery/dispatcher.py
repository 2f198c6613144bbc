"""The dispatcher: the workers of all endpoints, and what they share."""

from __future__ import annotations

import asyncio
import random as chance
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import NamedTuple

import structlog

from collator.backoff import Random
from collator.clock import Clock
from collator.delivery.circuit import Circuit, Circuits
from collator.delivery.endpoint import Endpoint
from collator.delivery.endpoint_worker import EndpointWorker
from collator.delivery.outcome_recorder import OutcomeRecorder
from collator.delivery.pauses import Pauses
from collator.delivery.receiver_test import send_test
from collator.delivery.recovery import Recovery
from collator.delivery.sender import Sender
from collator.delivery.verdict import put_off
from collator.egress import Egress
from collator.errors import CollatorError, Unavailable, Unknown
from collator.messages import Attempt, Delivery, ReceiverAnswer
from collator.metrics import Metrics
from collator.notices import EventKind
from collator.seams.capacity import Capacity
from collator.seams.deliveries import DeliveryQueue
from collator.text import quoted

POLL = 0.5
"""Seconds between looks for what has become due by time: the first retry comes after 1 s."""
SETTLE_GRACE = 2.0
"""Seconds that a stop grants at least to store what has ended."""
CANCEL_GRACE = 0.5
"""Seconds that an attempt which is cancelled has to end, as a coroutine of the program may not let itself be ended."""
LARGE = 2
"""Deliveries of an endpoint under way at a time whose body is large, beside those of its concurrency."""

_BEGUN = EventKind.PAUSED, EventKind.BREAKER_OPENED
_OVER = EventKind.RESUMED, EventKind.BREAKER_CLOSED

_log = structlog.get_logger("collator.delivery")


class EndpointWorkers(NamedTuple):
    """The two workers of an endpoint."""

    small: EndpointWorker
    large: EndpointWorker


class Dispatcher:
    """Sends what is due, to every endpoint within its own capacity."""

    def __init__(
        self,
        ledger: DeliveryQueue,
        endpoints: Mapping[str, Endpoint],
        *,
        clock: Clock,
        metrics: Metrics,
        egress: Egress | None = None,
        circuits: Circuits | None = None,
        random: Random = chance.random,
        poll: float = POLL,
    ) -> None:
        """Deliver from *ledger* to *endpoints*, by name.

        *poll* in seconds; *random* is for the jitter of retries; *circuits* hold back what fails. *endpoints* is looked
        into at each attempt, and may change: a name that goes away keeps its deliveries due.
        """
        self._ledger = ledger
        self._endpoints = endpoints
        self._clock = clock
        self._metrics = metrics
        self._egress = egress or Egress()
        self._circuits = circuits or Circuits()
        self._poll = poll
        self.sender = Sender(ledger, endpoints, self._egress, clock=clock, metrics=metrics, random=random)
        self._recorder = OutcomeRecorder(ledger, self._outcomes_recorded)
        self._pauses = Pauses(ledger, clock)
        self._recovery = Recovery(ledger)
        self._workers: dict[str, EndpointWorkers] = {}
        self._unknown: set[str] = set()
        self._told: dict[str, tuple[bool, bool]] = {}  # whether an endpoint is paused, and whether its breaker is open
        self._blind = False
        self._draining = False
        for name in endpoints:
            self._workers_of(name)
        self._show_circuits()

    def capacity(self) -> Capacity:
        """For each endpoint, how many more deliveries it would take, leased, at this moment."""
        return {name: workers.small.capacity() for name, workers in self._workers.items()}

    def take(self, deliveries: Sequence[Delivery], endpoints: Iterable[str]) -> None:
        """Send *deliveries*, which are leased to this process, and look for due ones of *endpoints*. Never blocks.

        What there is a place for is on its way in the next turn of the event loop.
        """
        groups: dict[tuple[str, bool], list[Delivery]] = {}
        for delivery in deliveries:
            groups.setdefault((delivery.endpoint, delivery.large), []).append(delivery)
        for (name, large), some in groups.items():
            if (workers := self._workers_of(name)) is not None:
                workers[large].take(some)
            else:
                self._recorder.add([put_off(one, f"endpoint {name!r} is not configured") for one in some])
        for name in endpoints:
            self._wake(name)

    def why(self, endpoint: str) -> str | None:
        """The reason why nothing is sent to *endpoint* now, in words behind its name; `None` if requests may pass."""
        if (circuit := self._circuit(endpoint)) is None:
            return "no longer configured: add it to the configuration again, or give up the delivery"
        return self._pauses.why(endpoint) or circuit.why(self._clock.monotonic())

    def under_way(self) -> Mapping[str, int]:
        """The number of attempts under way, by endpoint."""
        return {name: sum([worker.under_way for worker in workers]) for name, workers in self._workers.items()}

    def next_try(self, endpoint: str) -> float | None:
        """Seconds until the next probe of the receiver of *endpoint*, while a breaker is open; otherwise `None`."""
        circuit = self._circuit(endpoint)
        return circuit.wait(self._clock.monotonic()) if circuit is not None and circuit.open else None

    async def refresh(self) -> None:
        """Look at once which endpoints are paused, and for what is due to the others."""
        await self._refresh_pauses()
        for name in self._workers:
            self._wake(name)

    async def try_now(self, endpoint: str) -> bool:
        """Attempt the next delivery to *endpoint* at once, whatever it waits for; whether anything is under way then.

        Nothing is sent to one that is paused, or is not configured. Raises what the ledger raises.
        """
        circuit, workers = self._circuit(endpoint), self._workers_of(endpoint)
        if circuit is None or workers is None:
            return False
        circuit.end_wait()
        return any([await worker.try_now() for worker in workers])

    async def test(self, endpoint: str) -> ReceiverAnswer:
        """Send a test to the receiver of *endpoint*; what it said. `Unknown`, `Conflict`."""
        found = self._endpoints.get(endpoint)
        if found is None:
            raise Unknown(f"endpoint {quoted(endpoint)} is not configured")
        return await send_test(found, self._egress, self._clock)

    async def run(self) -> None:
        """Look for what has become due, at once and every `poll` seconds, until drained.

        To cancel it without a `drain` before cuts what is under way; those leases lapse.
        """
        if self._draining:
            return
        try:
            while not self._draining:
                await self._look_after_outages()
                for name in await self._due():
                    self._wake(name)
                for worker in self._all_workers():
                    worker.probe()
                self._show_circuits()
                await asyncio.sleep(self._poll)
        finally:
            if not self._draining:
                await self._egress.aclose()

    async def drain(self, timeout: float) -> None:
        """Claim no more, wait at most *timeout* seconds for what is under way, store it, and give back the rest."""
        self._draining = True
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        for worker in self._all_workers():
            worker.stop()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                for worker in self._all_workers():
                    await worker.over()
        await self._give_back()
        await self._recorder.finish(max(SETTLE_GRACE, end - loop.time()))
        await self._egress.aclose()

    async def _look_after_outages(self) -> None:
        for name in [*self._workers]:
            if (circuit := self._circuit(name)) is not None:
                await self._recovery.look(name, circuit)

    async def _due(self) -> Iterable[str]:
        """The endpoints that have something due; all of them where the ledger cannot say."""
        try:
            await self._refresh_pauses()
            due = await self._ledger.due_endpoints()
        except Exception as error:  # noqa: BLE001 - a defect must not end the stage: who has nothing due claims in vain
            if not self._blind:  # told once, and not at every poll
                words = "cannot look up endpoints with due deliveries"
                if isinstance(error, Unavailable):
                    _log.warning(words, reason=error.detail)
                else:
                    _log.exception(words)
            self._blind = True
            return [*self._endpoints]
        self._blind = False
        return due

    async def _refresh_pauses(self) -> None:
        before = {name for name in self._workers if name in self._pauses}
        await self._pauses.refresh()
        for name in before:
            circuit = self._circuit(name)
            if name not in self._pauses and circuit is not None:
                circuit.begin_gently()

    def _circuit(self, name: str) -> Circuit | None:
        endpoint = self._endpoints.get(name)
        return None if endpoint is None else self._circuits.of(endpoint.url)

    def _show_circuits(self) -> None:
        now = self._clock.monotonic()
        for name in self._workers:
            circuit = self._circuit(name)
            if circuit is not None:
                self._metrics.breakers.labels(name).state(circuit.state)
                self._metrics.waits.labels(name).set(circuit.asked(now))
                self._metrics.paused.labels(name).set(name in self._pauses)
                self._tell_changes(name, circuit)

    def _tell_changes(self, name: str, circuit: Circuit) -> None:
        """Tell those who follow the service whether something is sent to an endpoint, where that has changed."""
        now = name in self._pauses, circuit.open
        before, self._told[name] = self._told.get(name, (False, False)), now
        for held, holds, began, ended in zip(before, now, _BEGUN, _OVER, strict=True):
            if holds and not held:
                self._metrics.notices.tell(began, name, endpoint=name, reason=self.why(name))
            if held and not holds:
                self._metrics.notices.tell(ended, name, endpoint=name)

    async def _give_back(self) -> None:
        abandoned = [worker.abandon() for worker in self._all_workers()]
        leases = [lease for leases, _ in abandoned for lease in leases]
        if ending := [task for _, tasks in abandoned for task in tasks]:
            await asyncio.wait(ending, timeout=CANCEL_GRACE)
        if not leases:
            return
        try:
            await self._ledger.release(leases)
        except CollatorError as error:
            _log.warning(
                "deliveries not released; their leases will expire", deliveries=len(leases), reason=error.detail
            )

    def _wake(self, name: str) -> None:
        for worker in self._workers_of(name) or ():
            worker.wake()

    def _all_workers(self) -> Iterator[EndpointWorker]:
        return chain.from_iterable(self._workers.values())

    def _workers_of(self, name: str) -> EndpointWorkers | None:
        return self._workers.get(name) or self._open(name)

    def _open(self, name: str) -> EndpointWorkers | None:
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            if name not in self._unknown:
                _log.error("endpoint not configured; its deliveries stay due", endpoint=name)
            self._unknown.add(name)
            return None
        make = partial(
            EndpointWorker,
            name,
            ledger=self._ledger,
            sender=self.sender,
            recorder=self._recorder,
            clock=self._clock,
            metrics=self._metrics,
            circuit=partial(self._circuit, name),
            pauses=self._pauses,
        )
        large = make(min(LARGE, endpoint.concurrency), large=True)
        self._workers[name] = EndpointWorkers(make(endpoint.concurrency), large)
        return self._workers[name]

    def _outcomes_recorded(self, attempts: Sequence[Attempt]) -> None:
        groups: dict[EndpointWorker, list[Attempt]] = {}
        for attempt in attempts:
            if attempt.pauses:
                self._pauses.recorded(attempt)
            workers = self._workers.get(attempt.delivery.endpoint)
            if workers is not None:
                groups.setdefault(workers[attempt.delivery.large], []).append(attempt)
        for worker, some in groups.items():
            worker.forget_recorded(some)
