"""The worker of one endpoint: how many of its deliveries are under way, which wait, and when more are claimed.

The *capacity* of a worker is what it can still take: its concurrency, less what is under way or waits here, and as much
again while its receiver answers at once. So a burst of small resources is sent as it is handed out when they end; what
finds no place then is looked up in the ledger again, which took a fifth of all processor time. Several callers may get
the same capacity at a time, and a claim may run beside them, so that none gets less for what another might bring. If
more comes than fits, it waits here, and is given back if it waits too long. An open breaker, a receiver that asked to
wait and a paused endpoint leave it no capacity; this is the only place that decides so.

What attempts that end in one turn of the event loop have in common is done once: the log, the recorder and the look for
what waits. Only one that is no success is told at once, as it may leave no capacity to what begins in the same turn.

An endpoint has two workers: what is large has one of its own, of few requests, so that nothing else waits behind it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import structlog

from collator.clock import Clock
from collator.delivery.attempt_log import AttemptLog
from collator.delivery.circuit import BREAKER_OPEN, SLOWED, Circuit
from collator.delivery.outcome_recorder import OutcomeRecorder
from collator.delivery.pauses import Pauses
from collator.delivery.sender import Sender, UnderWay
from collator.delivery.verdict import put_off
from collator.errors import Unavailable
from collator.messages import Attempt, Delivery, Lease
from collator.metrics import Metrics
from collator.seams.deliveries import DeliveryQueue
from collator.seams.operations import Operations
from collator.states import DeliveryState

UNSETTLED = 4
"""For each request that may be under way, how many outcomes may wait for the ledger before no more is claimed (P5)."""

PROMPT = 0.1
"""Seconds of an answer that comes at once: a whole round of requests then waits no longer than a person notices."""

LOOK_AGAIN = 1.0
"""Seconds after which a worker that waits for its circuit looks again, at the latest: a poll may be later still."""

_log = structlog.get_logger("collator.delivery")


class EndpointWorker:
    """Everything this process does for one endpoint."""

    def __init__(
        self,
        name: str,
        concurrency: int,
        *,
        ledger: DeliveryQueue,
        sender: Sender,
        recorder: OutcomeRecorder,
        clock: Clock,
        metrics: Metrics,
        circuit: Callable[[], Circuit | None],
        pauses: Pauses,
        large: bool = False,
    ) -> None:
        """Have at most *concurrency* requests to the endpoint *name* under way at a time, as far as *circuit* lets.

        *circuit* gives that of the endpoint's address at the moment; `None` while the endpoint is not configured. It is
        the worker of what is *large*, or of all else.
        """
        self._name = name
        self._concurrency = concurrency
        self._ledger, self._operations = ledger, Operations()
        self._sender = sender
        self._recorder = recorder
        self._clock = clock
        self._circuit = circuit
        self._pauses, self._large = pauses, large
        self._attempts = AttemptLog(name, metrics=metrics, clock=clock)
        self._running: dict[Lease, UnderWay] = {}
        self._waiting: deque[tuple[Delivery, float]] = deque()
        self._ended: list[Attempt] = []  # in this turn, and not handed on yet
        self._turn: asyncio.Handle | None = None  # its end
        self._prompt = False  # the last answer came at once
        self._unsettled = 0
        self._delivered: set[tuple[str, bytes]] = set()  # and not settled: the ledger may hand these out again
        self._more = False
        self._claiming: asyncio.Task[None] | None = None
        self._claims_fail = False
        self._stopped = False
        self._over = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def capacity(self) -> int:
        """The number of further deliveries, leased, that it would take now."""
        unsettled = self._unsettled + len(self._ended)
        if self._stopped or self._name in self._pauses or unsettled >= UNSETTLED * self._concurrency:
            return 0
        ahead = self._concurrency if self._prompt and not self._large else 0
        free = max(0, self._concurrency + ahead - len(self._running) - len(self._waiting))
        circuit = self._circuit()
        most = None if circuit is None else circuit.capacity(self._clock.monotonic())
        return free if most is None else min(free, most)

    @property
    def under_way(self) -> int:
        """The number of attempts under way."""
        return len(self._running)

    def take(self, deliveries: Sequence[Delivery]) -> None:
        """Send *deliveries*, which are leased, now or as soon as there is a place for each."""
        if self._stopped:
            self._hand_to_recorder([put_off(delivery, "the service stopped") for delivery in deliveries])
            return
        now = self._clock.monotonic()
        self._waiting += [(delivery, now) for delivery in deliveries]
        self._start_waiting()

    def wake(self) -> None:
        """Claim what is due, as far as there is room; what there is none for is claimed when there is."""
        self._more = True
        if self._claiming is not None:
            return
        if self.capacity():
            self._claiming = asyncio.get_running_loop().create_task(self._claim())
        else:
            self._wake_later()

    def probe(self) -> None:
        """Claim a delivery that tries whether the receiver is back, though none be due, where that is its turn."""
        circuit = self._circuit()
        if circuit is not None and circuit.open and self.capacity():
            self.wake()

    async def try_now(self) -> bool:
        """Send the delivery that is due next, though its time has not come; whether anything is under way then.

        Raises what the ledger raises.
        """
        if self.capacity():
            await self._claim_once(1, probe=True)
        return bool(self._running or self._waiting)

    def forget_recorded(self, attempts: Sequence[Attempt]) -> None:
        """*attempts* no longer wait for the ledger."""
        self._unsettled -= len(attempts)
        self._delivered -= {(one.delivery.resource_id, one.delivery.generation) for one in attempts}
        if self._more:
            self.wake()

    def stop(self) -> None:
        """Claim and start nothing more."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        self._look_whether_over()

    async def over(self) -> None:
        """Return once it was stopped, and nothing is under way."""
        await self._over.wait()

    def abandon(self) -> tuple[list[Lease], list[asyncio.Task[None]]]:
        """Cancel what is still under way: the leases to give back, and the tasks that are about to end."""
        self._hand_on()
        leases = [*self._running, *(delivery.lease for delivery, _ in self._waiting)]
        self._waiting.clear()
        return leases, [task for under_way in [*self._running.values()] if (task := under_way.cancel())]

    def _start_waiting(self) -> None:
        if not self._waiting:
            return
        if self._name in self._pauses:
            self._ended += [put_off(delivery, "its endpoint is paused") for delivery, _ in self._waiting]
            self._waiting.clear()
            self._hand_on()
            return
        circuit = self._circuit()
        while self._waiting and not self._stopped and len(self._running) < self._concurrency:
            self._start(*self._waiting.popleft(), circuit)

    def _start(self, delivery: Delivery, taken_at: float, circuit: Circuit | None) -> None:
        now, passage = self._clock.monotonic(), None
        if circuit is not None:  # passed here and now, so that the next who asks for the capacity knows of it
            passage = circuit.enter(now)
            if passage is None:
                self._end(put_off(delivery, BREAKER_OPEN if circuit.open else SLOWED, circuit.wait(now)))
                return
        begun = self._sender.begin(delivery, taken_at, passage, self._attempt_ended)
        if isinstance(begun, UnderWay):
            self._running[delivery.lease] = begun
            return
        if passage is not None:
            passage.circuit.leave(passage)
        self._end(begun)

    def _attempt_ended(self, under_way: UnderWay, attempt: Attempt | None) -> None:
        if self._running.pop(under_way.delivery.lease, None) is None:  # it was cancelled
            return
        passage = under_way.passage
        passage.circuit.leave(passage)
        if attempt is not None:
            if passage.probe and not passage.circuit.open:
                self._attempts.works_again()  # the log has it of the breaker, which has just closed
            self._prompt = attempt.state is DeliveryState.DELIVERED and attempt.seconds < PROMPT
            self._ended.append(attempt)
            if attempt.state is not DeliveryState.DELIVERED:
                self._hand_on()
        if self._turn is None:
            self._turn = asyncio.get_running_loop().call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._turn = None
        self._hand_on()
        if self._stopped:
            self._look_whether_over()
            return
        self._start_waiting()
        if self._more:
            self.wake()

    def _look_whether_over(self) -> None:
        if self._stopped and not (self._running or self._ended) and self._claiming is None:
            self._over.set()

    def _end(self, attempt: Attempt) -> None:
        self._ended.append(attempt)
        self._hand_on()

    def _hand_on(self) -> None:
        """Tell of what has ended, and have it recorded."""
        ended, self._ended = self._ended, []
        if not ended:
            return
        for attempt in ended:
            if attempt.pauses and self._pauses.add(attempt):
                _log.error("endpoint paused by its receiver", endpoint=self._name, reason=attempt.reason)
        self._attempts.add(ended)
        self._hand_to_recorder(ended)

    def _hand_to_recorder(self, attempts: Sequence[Attempt]) -> None:
        self._unsettled += len(attempts)
        self._delivered |= {
            (one.delivery.resource_id, one.delivery.generation)
            for one in attempts
            if one.state is DeliveryState.DELIVERED
        }
        self._recorder.add(attempts)

    async def _claim(self) -> None:
        try:
            while self._more and (capacity := self.capacity()):
                self._more = False
                circuit = self._circuit()
                await self._claim_once(capacity, probe=circuit is not None and circuit.open)
        except Unavailable as error:
            if not self._claims_fail:  # one line until they work again, not one for each poll
                _log.warning("cannot claim deliveries", endpoint=self._name, reason=error.detail)
            self._claims_fail = True
        except Exception:  # noqa: BLE001 - a defect must not end the worker: it is logged, and the next poll claims
            _log.exception("cannot claim deliveries", endpoint=self._name)
        else:
            self._claims_fail = False
        finally:
            self._claiming = None
            self._look_whether_over()
        if self._more:
            self._wake_later()

    async def _claim_once(self, capacity: int, *, probe: bool) -> None:
        claim, certain = self._ledger.claim_deliveries, self._operations.certain
        found = await certain(claim, self._name, capacity=capacity, large=self._large, probe=probe)
        self._more = self._more or len(found) >= capacity
        self._hand_on()
        self.take([one for one in found if (one.resource_id, one.generation) not in self._delivered])

    def _wake_later(self) -> None:
        """Look again when the circuit lets something pass, which may be long before the next poll."""
        circuit = self._circuit()
        wait = 0.0 if circuit is None or self._stopped else circuit.wait(self._clock.monotonic())
        if wait and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(min(wait, LOOK_AGAIN), self._look_again)

    def _look_again(self) -> None:
        self._timer = None
        if self._more:
            self.wake()
