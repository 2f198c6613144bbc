"""What is told of the attempts at one endpoint: to the metrics, to the log, and to those who follow the service."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from collator.clock import Clock
from collator.messages import Attempt
from collator.metrics import Metrics
from collator.notices import EventKind
from collator.states import DeliveryState
from collator.throttle import Throttle

_RESULTS = {DeliveryState.DELIVERED: "delivered", DeliveryState.DUE: "retry", DeliveryState.DEAD: "dead"}
_FAIL, _SUCCEED = "deliveries fail", "deliveries succeed again"

_log = structlog.get_logger("collator.delivery")


class AttemptLog:
    """A line for each dead delivery. Of all others that fail or are put off one a minute, with their number.

    Once deliveries fail, it says so of the first that succeeds, once a minute at most, as some may succeed while others
    fail; from then on the next that fails is told at once, so that the last line is never too good.
    """

    def __init__(self, endpoint: str, *, metrics: Metrics, clock: Clock) -> None:
        """Tell of the attempts at *endpoint*."""
        self._endpoint = endpoint
        self._counters = {state: metrics.deliveries.labels(endpoint, result) for state, result in _RESULTS.items()}
        self._notices = metrics.notices
        self._throttle = Throttle(now=clock.monotonic)
        self._failing = False

    def add(self, attempts: Sequence[Attempt]) -> None:
        """Tell of *attempts*, in the order in which they ended."""
        delivered = 0
        for attempt in attempts:
            if attempt.state is DeliveryState.DELIVERED:
                delivered += 1
                if self._failing:
                    self._delivered(attempt)
            else:
                self._failed(attempt)
        if delivered:
            self._counters[DeliveryState.DELIVERED].inc(delivered)

    def works_again(self) -> None:
        """Know that the log says already that the receiver works again."""
        self._failing = False
        self._throttle.over(_FAIL)

    def _delivered(self, attempt: Attempt) -> None:
        if self._throttle.times(_SUCCEED):
            delivery = attempt.delivery
            _log.info(_SUCCEED, endpoint=self._endpoint, webhook_id=delivery.webhook_id, attempt=delivery.attempt)
            self.works_again()

    def _failed(self, attempt: Attempt) -> None:
        if attempt.counted:
            self._counters[attempt.state].inc()
        if attempt.state is DeliveryState.DEAD:
            self._dead(attempt)
        elif attempt.counted:
            self._failing = True
            self._warn_again(_FAIL, attempt)
        else:
            self._warn_again("deliveries postponed", attempt)

    def _dead(self, attempt: Attempt) -> None:
        self._warn("delivery dead", attempt, failed=1)
        delivery = attempt.delivery
        self._notices.tell(
            EventKind.DEAD,
            self._endpoint,
            endpoint=self._endpoint,
            webhook_id=delivery.webhook_id,
            resource_id=delivery.resource_id,
            attempt=delivery.attempt,
            reason=attempt.reason,
        )

    def _warn_again(self, event: str, attempt: Attempt) -> None:
        if failed := self._throttle.times(event):
            self._warn(event, attempt, failed=failed)

    def _warn(self, event: str, attempt: Attempt, *, failed: int) -> None:
        _log.warning(
            event,
            endpoint=self._endpoint,
            webhook_id=attempt.delivery.webhook_id,
            attempt=attempt.delivery.attempt,
            reason=attempt.reason,
            failed=failed,
        )
