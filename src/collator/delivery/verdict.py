"""The meaning of an answer for its delivery: rules R22 and R23, to the letter of Standard Webhooks 1.0. Pure."""

from __future__ import annotations

import msgspec

from collator.backoff import SCHEDULE, Random, next_delay, parse_retry_after
from collator.delivery.circuit import Evidence
from collator.egress import MOST_SAID, REDIRECTS, Answer, NoAnswer, text_of
from collator.messages import Attempt, Delivery, FailedAnswer
from collator.states import DeliveryState
from collator.text import one_line

SUCCESS = range(200, 300)
GONE = 410
TOO_MANY = 429
FAULT = 500
"""From here on a status says that the receiver itself is at fault (RFC 9110, section 15.6)."""
THROTTLED = frozenset({TOO_MANY, 502, 503, 504})
"""The statuses whose ``Retry-After`` counts (R22)."""
_WORKS, _FAILS = Evidence(origin=True, address=True), Evidence(origin=True, address=False)
SHORTAGE_DELAY = 1.0
"""Seconds until what could not be sent, as this process lacked something for it, is due again."""


def judge(
    answer: Answer | NoAnswer,
    said: Evidence,
    delivery: Delivery,
    *,
    reason: str,
    probe: bool,
    wait: float,
    seconds: float,
    random: Random,
) -> Attempt:
    """Judge an attempt that got *answer*, in words *reason*, after *seconds*; *said* is its `evidence`.

    Only 2xx succeeds. What is about the receiver, or about this process, uses up no attempt: a receiver that asks to
    wait or wants no more (410, which pauses its endpoint), a *probe* of one that fails, a shortage here; the next is
    made when *wait* is over. Everything else is tried again as the schedule has it, and is dead once that is used up.
    """
    if isinstance(answer, Answer) and answer.status in SUCCESS:
        return Attempt(delivery, DeliveryState.DELIVERED, reason, seconds=seconds)
    attempt = _judge_failure(said, delivery, reason, probe=probe, wait=wait, random=random)
    attempt = msgspec.structs.replace(attempt, seconds=seconds)
    if isinstance(answer, NoAnswer):
        return attempt
    excerpt = "" if answer.status in REDIRECTS else answer.excerpt  # of which the address is all that counts
    if answer.status == GONE:
        attempt = msgspec.structs.replace(put_off(delivery, reason), seconds=seconds, pauses=True)
    return msgspec.structs.replace(attempt, excerpt=excerpt, answer=_kept(answer))


def _judge_failure(
    said: Evidence, delivery: Delivery, reason: str, *, probe: bool, wait: float, random: Random
) -> Attempt:
    if said.shortage:
        return put_off(delivery, reason, max(wait, SHORTAGE_DELAY))
    if said.refused:
        return put_off(delivery, reason, wait)
    if probe and not said.address:
        # As the schedule has it, so that others come first: one that is the cause itself would be the next probe too.
        return put_off(delivery, reason, max(wait, next_delay(delivery.step, random=random) or SCHEDULE[-1]))
    delay = next_delay(delivery.step, random=random)
    if delay is None:
        return Attempt(delivery, DeliveryState.DEAD, f"{reason}; no attempts are left")
    return Attempt(delivery, DeliveryState.DUE, reason, delay)


def _kept(answer: Answer) -> FailedAnswer | None:
    """The part of *answer*, which is no success, that is kept; none where it has no body: its reason says all then."""
    if not answer.size:
        return None
    media = one_line(answer.media, MOST_SAID)
    return FailedAnswer(status=answer.status, media_type=media, size=answer.size, text=text_of(answer))


def evidence(answer: Answer | NoAnswer, *, now: float) -> Evidence:
    """The evidence about a receiver in its *answer*, which came at *now* (wall clock) (R23).

    Any status below 500 shows that the receiver works; one that asks to wait says nothing about that.
    """
    if isinstance(answer, NoAnswer):
        if answer.own_shortage:
            return Evidence(None, None, shortage=True)
        return Evidence(None, address=False) if answer.reached else Evidence(origin=False, address=None)
    if answer.status not in THROTTLED:
        return _WORKS if answer.status < FAULT else _FAILS
    named = parse_retry_after(answer.retry_after, now)
    if answer.status == TOO_MANY or named is not None:
        return Evidence(origin=True, address=True if answer.status == TOO_MANY else None, refused=True, named=named)
    return Evidence(origin=True, address=answer.status < FAULT)


def put_off(delivery: Delivery, reason: str, delay: float = 0.0) -> Attempt:
    """No attempt is used up: due again after *delay* seconds."""
    return Attempt(delivery, DeliveryState.DUE, reason, delay, counted=False)
