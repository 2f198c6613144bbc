"""The verbs of the ledger as the writer executes them: which step each is, and how a call is split.

Most are executed alone. Those that come by the thousand are executed together, and taken apart where one call of a
batch is the culprit of an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from collator.errors import CollatorError
from collator.ledgers.batching import parts
from collator.ledgers.batching.calls import Call, Verb, keep_results
from collator.ledgers.sqlite import (
    acceptance,
    attempts,
    audit,
    claims,
    endpoints,
    outbox,
    purge,
    records,
    redelivery,
    repair,
    retries,
)
from collator.ledgers.sqlite.store import Store
from collator.messages import StepResult

R = TypeVar("R")


def execute(store: Store, calls: Sequence[Call]) -> None:
    """Execute *calls*, which are of one verb, keep the result with each, and add to the audit log what it changed."""
    verb = calls[0].verb
    try:
        results: Any = verb.step(store, [call.arguments for call in calls])
    except CollatorError as error:
        if not verb.alone:
            raise
        calls[0].result = error
        return
    keep_results(calls, results)
    if verb.changed is not None:
        for call in calls:
            if call.act is not None and call.changed is not None:
                audit.record(store, call.act, call.changed)


def _alone(step: Callable[..., R], *, grows: bool = False, gives_way: bool = False) -> Verb[Store, R]:
    def execute(store: Store, calls: Sequence[tuple[Any, ...]]) -> list[R]:
        return [step(store, *calls[0])]

    return Verb(execute, alone=True, grows=grows, gives_way=gives_way)


def _upkeep(step: Callable[..., R], *, grows: bool = False) -> Verb[Store, R]:
    """A verb of time or people: its step may last a slice, or as long as the end of a large resource takes."""
    return _alone(step, grows=grows, gives_way=True)


def _audited(verb: Verb[Store, R], changed: Callable[[R], int | None]) -> Verb[Store, R]:
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
CLAIM, WORK_DUE = _alone(claims.claim), _alone(claims.work_due)
RENEW, RELEASE = _alone(claims.renew), _alone(claims.release)
CLAIM_DELIVERIES = _alone(outbox.claim_deliveries)
EXPIRE = _upkeep(repair.expire)
NOTE = _alone(audit.note)

# What people do, which the audit log has.
REPLAY = _audited(_upkeep(redelivery.replay), lambda step: step.number)
STOP = _audited(_upkeep(redelivery.give_up), int)
PAUSE, RESUME = _audited(_alone(endpoints.pause), int), _audited(_alone(endpoints.resume), int)
COMPLETE = _audited(_upkeep(repair.complete), _closed)
COMPLETE_EMPTY = _audited(_upkeep(repair.complete, grows=True), _closed)  # which may open a resource
CANCEL = _audited(_upkeep(repair.cancel), int)
RETRY = _audited(_upkeep(retries.retry), lambda step: None if step.ended else step.number)
REOPEN = _audited(_upkeep(retries.reopen_one, grows=True), int)
REOPEN_ALL = _audited(_upkeep(retries.reopen_all, grows=True), lambda step: step.packets)
PURGE = replace(_upkeep(purge.purge), changed=lambda arguments, _: int(arguments[-1] is not None))  # the resource
