"""The verbs of the ledger as the writer executes them: which step each is, and how a call is taken apart.

Most are executed alone. Those that come by the thousand are executed together, and taken apart where one call of a
batch is the culprit of an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from collator.engines.embedded import (
    accepting,
    attempts,
    audit,
    claiming,
    endpoints,
    outbox,
    purging,
    recording,
    redelivery,
    repair,
)
from collator.engines.embedded.store import Store
from collator.engines.embedded.verbs import Verb, halves
from collator.exchange import Outcome

R = TypeVar("R")


def _roomless_halves(arguments: tuple[Sequence[Any], Any]) -> list[tuple[Sequence[Any], Any]]:
    """As `halves`, which hand nothing out."""
    items, room = arguments
    nothing: int | dict[str, int] = 0 if isinstance(room, int) else {}
    return [(half, nothing) for half in halves(items)]


def _alone(step: Callable[..., R], *, grows: bool = False, gives_way: bool = False) -> Verb[R]:
    def execute(store: Store, calls: Sequence[tuple[Any, ...]]) -> list[R]:
        return [step(store, *calls[0])]

    return Verb(execute, alone=True, grows=grows, gives_way=gives_way)


def _upkeep(step: Callable[..., R], *, grows: bool = False) -> Verb[R]:
    """What time and people ask for: its step may last a slice, or as long as the end of a large resource takes."""
    return _alone(step, grows=grows, gives_way=True)


def _audited(verb: Verb[R], changed: Callable[[R], int]) -> Verb[R]:
    return replace(verb, changed=lambda _, result: changed(result))


def _closed(outcome: Outcome) -> int:
    return outcome.closed


ACCEPT = Verb(accepting.accept, grows=True, split=_roomless_halves, join=accepting.join, isolate=accepting.isolate)
RECORD = Verb(recording.record, split=_roomless_halves, join=recording.join, isolate=recording.isolate)
SETTLE = Verb(attempts.settle, split=halves, join=attempts.join, isolate=attempts.isolate)
CLAIM, OVERDUE = _alone(claiming.claim), _alone(claiming.overdue)
RENEW, RELEASE = _alone(claiming.renew), _alone(claiming.release)
CLAIM_DELIVERIES = _alone(outbox.claim_deliveries)
EXPIRE = _upkeep(repair.expire)
NOTE = _alone(audit.note)

# What people do, which the audit log has.
REPLAY = _audited(_upkeep(redelivery.replay), lambda step: step.number)
STOP = _audited(_upkeep(redelivery.stop), int)
PAUSE, RESUME = _audited(_alone(endpoints.pause), int), _audited(_alone(endpoints.resume), int)
COMPLETE = _audited(_upkeep(repair.complete), _closed)
COMPLETE_EMPTY = _audited(_upkeep(repair.complete, grows=True), _closed)  # which may open a resource
CANCEL = _audited(_upkeep(repair.cancel), int)
RETRY = _audited(_upkeep(repair.retry), lambda step: len(step.keys))
PURGE = replace(_upkeep(purging.purge), changed=lambda arguments, _: int(arguments[-1] is not None))  # the resource
