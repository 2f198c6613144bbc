"""The verbs of the ledger as the writer executes them: which step each is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from collator.errors import CollatorError
from collator.ledgers.batching import kinds
from collator.ledgers.batching.calls import Call, keep_results
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


def _alone(step: Callable[..., R]) -> Callable[[Store, Sequence[tuple[Any, ...]]], list[R]]:
    def alone(store: Store, calls: Sequence[tuple[Any, ...]]) -> list[R]:
        return [step(store, *calls[0])]

    return alone


ACCEPT = kinds.ACCEPT.by(acceptance.accept)
RECORD = kinds.RECORD.by(records.record)
SETTLE = kinds.SETTLE.by(attempts.record_attempts)
CLAIM, WORK_DUE = kinds.ALONE.by(_alone(claims.claim)), kinds.ALONE.by(_alone(claims.work_due))
RENEW, RELEASE = kinds.ALONE.by(_alone(claims.renew)), kinds.ALONE.by(_alone(claims.release))
CLAIM_DELIVERIES = kinds.ALONE.by(_alone(outbox.claim_deliveries))
BRING_FORWARD = kinds.ALONE.by(_alone(outbox.bring_forward))
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
