"""What an answer means for its delivery: rules R22 and R23, to the letter of Standard Webhooks 1.0. Pure."""

from __future__ import annotations

from collator.backoff import Random, next_delay, parse_retry_after
from collator.delivery.breaker import Evidence
from collator.egress import Answer, NoAnswer
from collator.exchange import Attempt, Delivery
from collator.states import DeliveryState

SUCCESS = range(200, 300)
GONE = 410
FAULT = 500
"""From here on a status says that the receiver itself is at fault (RFC 9110, section 15.6)."""
THROTTLED = frozenset({429, 502, 503, 504})
"""The statuses whose ``Retry-After`` counts (R22)."""


def judge(answer: Answer | NoAnswer, delivery: Delivery, *, now: float, random: Random) -> Attempt:
    """How the attempt ended that got *answer* at *now* (wall clock).

    Only 2xx succeeds; 410 ends the delivery; everything else is tried again as the schedule has it, not before what
    a throttling receiver asked for, and is dead once the schedule is used up.
    """
    reason = words(answer)
    if isinstance(answer, NoAnswer):
        return _failed(delivery, reason, 0.0, random)
    if answer.status in SUCCESS:
        return Attempt(delivery, DeliveryState.DELIVERED, reason)
    if answer.status == GONE:
        return Attempt(delivery, DeliveryState.DEAD, f"{reason}: the receiver wants no more of it")
    floor = parse_retry_after(answer.retry_after, now) if answer.status in THROTTLED else None
    return _failed(delivery, reason, floor or 0.0, random)


def words(answer: Answer | NoAnswer) -> str:
    """*answer* in words."""
    return answer.reason if isinstance(answer, NoAnswer) else answer.words or f"HTTP {answer.status}"


def evidence(answer: Answer | NoAnswer) -> Evidence:
    """What *answer* says about its receiver (R23): any status below 500 is that of one who is well."""
    if isinstance(answer, NoAnswer):
        return Evidence(None, address=False) if answer.reached else Evidence(origin=False, address=None)
    return Evidence(origin=True, address=answer.status < FAULT)


def put_off(delivery: Delivery, reason: str, delay: float = 0.0) -> Attempt:
    """Nothing was sent, and no attempt is used up: due again after *delay* seconds."""
    return Attempt(delivery, DeliveryState.DUE, reason, delay, counted=False)


def _failed(delivery: Delivery, reason: str, floor: float, random: Random) -> Attempt:
    delay = next_delay(delivery.step, floor=floor, random=random)
    if delay is None:
        return Attempt(delivery, DeliveryState.DEAD, f"{reason}; no attempt is left")
    return Attempt(delivery, DeliveryState.DUE, reason, delay)
