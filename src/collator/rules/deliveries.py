"""What attempts and people do to deliveries: states, schedule, history, retention. Pure; rules R22 to R25.

A delivery is stored as due, delivered or dead; that it is leased is the ledger's to know. Who holds the lease may say
anything of a delivery that is due. Who lost it may say one thing only, that the receiver has it: a 2xx always wins.

The last attempt stands with its delivery and moves to the log when another follows: a delivery that succeeds at once,
which nearly all do, has no row in the log.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from collator.clock import rfc3339
from collator.errors import Ended
from collator.messages import AnswerReport, Attempt, FailedAnswer
from collator.rules.resource import LedgerLimits
from collator.states import DELIVERY_STEPS, DeliveryState, check_step

DUE, LEASED, DELIVERED, DEAD = DeliveryState.DUE, DeliveryState.LEASED, DeliveryState.DELIVERED, DeliveryState.DEAD

LogRow = tuple[int, int, float, float | None, str | None, str]
"""Delivery, number of the attempt, when it began, its seconds, result, reason."""


class StoredAnswer(FailedAnswer, frozen=True, kw_only=True):
    """An answer as it is stored, as JSON: of a delivery the last that was no success and had a body."""

    at: float
    """When it came, by the wall clock."""


_decode_answer = msgspec.json.Decoder(StoredAnswer | None).decode


class StoredDelivery(msgspec.Struct):
    """A delivery as it is stored: a working copy, changed as a batch of attempts is decided."""

    key: int
    """The store's own handle."""
    resource_key: int
    state: DeliveryState
    attempts: int
    step: int
    """Place in the retry schedule."""
    due_at: float
    reason: str
    """How the last attempt ended that was counted."""
    note: str | None
    """What has kept it from another since."""
    tried_at: float | None
    """When the last attempt began, by the wall clock."""
    seconds: float | None
    result: str | None


class FoundDelivery(NamedTuple):
    """A delivery that a person wants to repair."""

    key: int
    resource_key: int
    endpoint: str
    state: DeliveryState


class DeliveryCounts(msgspec.Struct):
    """How many deliveries are due and dead, or by how many that changes."""

    due: int = 0
    dead: int = 0

    def add(self, old: DeliveryState, new: DeliveryState) -> None:
        """Count that a delivery went from *old* to *new*."""
        self.due += (new is DUE) - (old is DUE)
        self.dead += (new is DEAD) - (old is DEAD)


class AttemptPlan(msgspec.Struct):
    """The plan for a batch of attempts that have ended, before any of it is stored."""

    changed: list[bool] = []
    """Whether each of them changed anything, in order."""
    touched: dict[int, StoredDelivery] = {}
    log: list[LogRow] = []
    """Attempts that others have followed."""
    answers: dict[int, str] = {}
    """What receivers answered, as JSON, by delivery."""
    moves: DeliveryCounts = msgspec.field(default_factory=DeliveryCounts)
    overtaken: list[int] = []
    """Deliveries that have ended by a late success: the lease of whoever tries again ends."""
    paused: dict[str, str] = {}
    """Endpoints whose receivers want no more, and what they said (R23)."""


class ReplayPlan(msgspec.Struct):
    """The plan for a replay, before any of it is stored."""

    due: list[int] = []
    """Deliveries that are due again."""
    resource_keys: set[int] = set()
    """Their resources."""
    endpoints: set[str] = set()
    """Those that have something due, what was due before included."""
    moves: DeliveryCounts = msgspec.field(default_factory=DeliveryCounts)


def plan_attempts(
    ended: Iterable[tuple[Attempt, StoredDelivery | None, bool]], *, now: float, wall: float
) -> AttemptPlan:
    """Decide attempts one by one, each with its delivery (`None`: it was purged) and whether its lease was held."""
    plan = AttemptPlan()
    for attempt, delivery, held in ended:
        taken = delivery is not None and _counts(attempt, delivery, held=held)
        plan.changed.append(taken)
        if delivery is None or not taken:
            continue
        if held:
            check_step(DELIVERY_STEPS, LEASED, attempt.state)
        else:
            plan.overtaken.append(delivery.key)
        plan.moves.add(delivery.state, attempt.state)
        _apply(plan, attempt, delivery, now=now, wall=wall)
        plan.touched[delivery.key] = delivery
        if attempt.answer is not None:
            answer = StoredAnswer(**msgspec.structs.asdict(attempt.answer), at=wall)
            plan.answers[delivery.key] = msgspec.json.encode(answer).decode()
        if attempt.pauses:
            plan.paused.setdefault(attempt.delivery.endpoint, attempt.full_reason)
    return plan


def plan_replay(found: Iterable[FoundDelivery], state: DeliveryState | None) -> ReplayPlan:
    """Make those of *found* that have ended, in *state* if given, due again."""
    plan = ReplayPlan()
    for one in found:
        if one.state is not DUE and state not in (None, one.state):
            continue
        plan.endpoints.add(one.endpoint)
        if one.state is not DUE:
            check_step(DELIVERY_STEPS, one.state, DUE)
            plan.moves.add(one.state, DUE)
            plan.due.append(one.key)
            plan.resource_keys.add(one.resource_key)
    return plan


def gives_up(found: FoundDelivery) -> bool:
    """Return whether giving up ends the delivery *found*; False where it is dead. `Ended` where it was delivered.

    Whoever tries it at the moment loses his lease, and a late 2xx of his still wins.
    """
    if found.state is DELIVERED:
        raise Ended(f"the delivery to endpoint {found.endpoint!r} has ended (delivered); it cannot be given up")
    if found.state is DEAD:
        return False
    check_step(DELIVERY_STEPS, DUE, DEAD)
    return True


def purge_at(*, due: int, dead: int, limits: LedgerLimits, now: float) -> float | None:
    """The time at which a resource with *due* and *dead* deliveries may be deleted; `None` for not by time (R25).

    Retention runs while nothing is due; a dead delivery has a retention of its own.
    """
    kept = limits.dead_retention if dead else limits.retention
    return None if due or kept is None else now + kept


def answer_report(stored: bytes | str) -> AnswerReport | None:
    """The answer that is *stored*, ``null`` for none, as views show it. `ValueError` where it is damaged."""
    found = _decode_answer(stored)
    return None if found is None else AnswerReport(**{**msgspec.structs.asdict(found), "at": rfc3339(found.at)})


def _counts(attempt: Attempt, delivery: StoredDelivery, *, held: bool) -> bool:
    if attempt.state is DELIVERED:
        return delivery.state is not DELIVERED  # whoever holds the lease now
    return held and delivery.state is DUE


def _apply(plan: AttemptPlan, attempt: Attempt, delivery: StoredDelivery, *, now: float, wall: float) -> None:
    delivery.state = attempt.state
    delivery.due_at = now + attempt.delay
    if not attempt.counted:
        delivery.note = attempt.full_reason
        return
    if delivery.tried_at is not None:
        earlier = (delivery.key, delivery.attempts, delivery.tried_at, delivery.seconds)
        plan.log.append((*earlier, delivery.result, delivery.reason))
    delivery.attempts += 1
    delivery.step += 1
    delivery.reason, delivery.note = attempt.full_reason, None
    delivery.tried_at, delivery.seconds = wall - attempt.seconds, attempt.seconds
    delivery.result = "delivered" if attempt.state is DELIVERED else "failed"
