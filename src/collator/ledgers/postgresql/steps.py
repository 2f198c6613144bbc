"""The verbs of the ledger as a writer executes them: which step each is, and what is locked in which order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from collator.errors import CollatorError
from collator.ledgers.batching import kinds
from collator.ledgers.batching.calls import Call, batches, keep_results
from collator.ledgers.postgresql import (
    acceptance,
    attempts,
    audit,
    claims,
    endpoints,
    nodes,
    outbox,
    purge,
    records,
    redelivery,
    repair,
    retries,
)
from collator.ledgers.postgresql.step import Beside, Step

R = TypeVar("R")


def in_order(group: Sequence[Call]) -> list[list[Call]]:
    """The calls of *group* by verb, as they are executed: first what creates resources, then what locks them."""
    return sorted(batches(group), key=lambda calls: _LOCKING.get(calls[0].verb, len(_LOCKING)))


def beside(parts: Sequence[Sequence[Call]]) -> Beside:
    """The resources that the step of *parts*, in this order, touches after those of the first."""
    later = [call for calls in parts[1:] for call in calls]
    handles = {result.lease.key for call in later if call.verb is RECORD for result in call.arguments[0]}
    ids = {str(attempt.delivery.resource_id) for call in later if call.verb is SETTLE for attempt in call.arguments}
    return Beside([*ids], [*handles])


async def execute(step: Step, calls: Sequence[Call]) -> None:
    """Execute *calls*, which are of one verb, keep the result with each, and add to the audit log what it changed."""
    verb = calls[0].verb
    try:
        if verb not in _PLAIN:
            await step.look_around()
        taken: Any = verb.step(step, [call.arguments for call in calls])
        results: Any = await taken
    except CollatorError as error:
        if not verb.alone:
            raise
        calls[0].result = error
        return
    keep_results(calls, results)
    if verb.changed is not None:
        for call in calls:
            if call.act is not None and call.changed is not None:
                await audit.record(step, call.act, call.changed)


def _alone(taken: Callable[..., Awaitable[R]]) -> Callable[[Step, Sequence[tuple[Any, ...]]], Awaitable[list[R]]]:
    async def alone(step: Step, calls: Sequence[tuple[Any, ...]]) -> list[R]:
        return [await taken(step, *calls[0])]

    return alone


ACCEPT = kinds.ACCEPT.by(acceptance.accept)
RECORD = kinds.RECORD.by(records.record)
SETTLE = kinds.SETTLE.by(attempts.record_attempts)
_PLAIN = (ACCEPT, RECORD)
"""Verbs whose plain case looks around by itself."""
_LOCKING = {ACCEPT: 0, RECORD: 1, SETTLE: 2}
CLAIM, WORK_DUE = kinds.ALONE.by(_alone(claims.claim)), kinds.ALONE.by(_alone(claims.work_due))
RENEW, RELEASE = kinds.ALONE.by(_alone(claims.renew)), kinds.ALONE.by(_alone(claims.release))
CLAIM_DELIVERIES = kinds.ALONE.by(_alone(outbox.claim_deliveries))
BRING_FORWARD = kinds.ALONE.by(_alone(outbox.bring_forward))
BEAT, ENTER = kinds.ALONE.by(_alone(nodes.beat)), kinds.ALONE.by(_alone(nodes.enter))
LEAVE = kinds.ALONE.by(_alone(nodes.leave))
NOTE = kinds.ALONE.by(_alone(audit.note))
EXPIRE = kinds.EXPIRE.by(_alone(repair.expire))
REPLAY = kinds.REPLAY.by(_alone(redelivery.replay))
STOP = kinds.STOP.by(_alone(redelivery.give_up))
PAUSE = kinds.PAUSE.by(_alone(endpoints.pause))
RESUME = kinds.RESUME.by(_alone(endpoints.resume))
COMPLETE = kinds.COMPLETE.by(_alone(repair.complete))
COMPLETE_EMPTY = kinds.COMPLETE_EMPTY.by(_alone(repair.complete))
CANCEL = kinds.CANCEL.by(_alone(repair.cancel))
RETRY = kinds.RETRY.by(_alone(retries.retry))
REOPEN = kinds.REOPEN.by(_alone(retries.reopen_one))
REOPEN_ALL = kinds.REOPEN_ALL.by(_alone(retries.reopen_all))
PURGE = kinds.PURGE.by(_alone(purge.purge))
