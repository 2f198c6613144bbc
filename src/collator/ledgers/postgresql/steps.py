"""The verbs of the ledger as a writer executes them: which step each is, and how a call is split.

Most are executed alone. Those that come by the thousand are executed together, and taken apart where one call of a
batch is the culprit of an error.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from collator.errors import CollatorError
from collator.ledgers.batching import parts
from collator.ledgers.batching.calls import Call, Verb, batches, keep_results
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
from collator.messages import StepResult

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


def _alone(taken: Callable[..., Awaitable[R]], *, grows: bool = False, gives_way: bool = False) -> Verb[Step, R]:
    async def alone(step: Step, calls: Sequence[tuple[Any, ...]]) -> list[R]:
        return [await taken(step, *calls[0])]

    return Verb(alone, alone=True, grows=grows, gives_way=gives_way)


def _upkeep(taken: Callable[..., Awaitable[R]]) -> Verb[Step, R]:
    """A verb of time or people: its step may last as long as the end of a large resource takes."""
    return _alone(taken, gives_way=True)


def _audited(verb: Verb[Step, R], changed: Callable[[R], int]) -> Verb[Step, R]:
    return replace(verb, changed=lambda _, result: changed(result))


def _closed(outcome: StepResult) -> int:
    return outcome.closed


ACCEPT = Verb(
    acceptance.accept,
    grows=True,
    echoes=True,
    split=parts.halve_groups,
    join=parts.join_accepted,
    isolate=parts.refuse_packet,
)
RECORD = Verb(records.record, split=parts.halve_results, join=parts.join_recorded, isolate=parts.refuse_result)
SETTLE = Verb(attempts.record_attempts, split=parts.halve_items, join=parts.join_lists, isolate=parts.refuse_attempt)
_PLAIN = (ACCEPT, RECORD)
"""Verbs whose plain case looks around by itself."""
_LOCKING = {ACCEPT: 0, RECORD: 1, SETTLE: 2}
CLAIM, WORK_DUE = _alone(claims.claim), _alone(claims.work_due)
RENEW, RELEASE = _alone(claims.renew), _alone(claims.release)
CLAIM_DELIVERIES = _alone(outbox.claim_deliveries)
BEAT, ENTER, LEAVE = _alone(nodes.beat), _alone(nodes.enter), _alone(nodes.leave)
EXPIRE = _upkeep(repair.expire)
NOTE = _alone(audit.note)

# What people do, which the audit log has.
REPLAY = _audited(_upkeep(redelivery.replay), lambda result: result.number)
STOP = _audited(_upkeep(redelivery.give_up), int)
PAUSE, RESUME = _audited(_alone(endpoints.pause), int), _audited(_alone(endpoints.resume), int)
COMPLETE = _audited(_upkeep(repair.complete), _closed)
CANCEL = _audited(_upkeep(repair.cancel), int)
RETRY = _audited(_upkeep(retries.retry), lambda result: result.number)
REOPEN = _audited(_upkeep(retries.reopen_one), int)
REOPEN_ALL = _audited(_upkeep(retries.reopen_all), lambda result: result.packets)
PURGE = replace(_upkeep(purge.purge), changed=lambda arguments, _: int(arguments[-1] is not None))  # the resource
