"""The end of attempts: the state of the delivery, its history, and what that means for its resource (R24, R25).

The last attempt stands in the row of its delivery and moves to the log when another follows: a delivery that succeeds
at once, which nearly all do, has no row in the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from collator.ledgers.sqlite.endpoints import pause
from collator.ledgers.sqlite.store import Store, as_json
from collator.messages import LOG, Attempt
from collator.states import DELIVERY_STEPS, DeliveryState, check_step

DELIVERED, FAILED = "delivered", "failed"

_Stored = tuple[int, int, int, DeliveryState, int, int, float, str, str | None, float | None, float | None, str | None]
_decode_states = msgspec.json.Decoder(list[_Stored]).decode
_decode_triples = msgspec.json.Decoder(list[tuple[int, int, int]]).decode


class _Row(msgspec.Struct):
    """A delivery as it stands while a batch is settled."""

    delivery_row: int
    resource_row: int
    state: DeliveryState
    attempts: int
    step: int
    due_at: float
    reason: str
    note: str | None
    tried_at: float | None
    seconds: float | None
    result: str | None


def record_attempts(store: Store, batch: Sequence[Sequence[Attempt]]) -> list[list[bool]]:
    """Store how the attempts of *batch* ended; for each of its parts, whether each changed anything."""
    changed = iter(_record_attempts(store, [attempt for attempts in batch for attempt in attempts]))
    return [[next(changed) for _ in attempts] for attempts in batch]


def isolate(error: Exception) -> list[bool]:
    """The answer for the one attempt that the store could not take."""
    del error  # the log has it; the delivery is due again when its lease ends
    return [False]


def join(parts: Sequence[Sequence[bool]]) -> list[bool]:
    """The answers to the parts of one call as one answer."""
    return [changed for part in parts for changed in part]


def _record_attempts(store: Store, attempts: Sequence[Attempt]) -> list[bool]:
    asked = [(one.delivery.resource_id, one.delivery.generation.hex(), one.delivery.endpoint) for one in attempts]
    stored = _decode_states(store.value("delivery_states", as_json(asked)).encode())
    rows = {row[1]: _Row(*row[1:]) for row in stored}
    places = {place: rows[delivery_row] for place, delivery_row, *_ in stored}
    touched: dict[int, _Row] = {}
    log: list[tuple[object, ...]] = []
    changed = []
    for place, attempt in enumerate(attempts):
        held = store.deliveries.drop(attempt.delivery.lease) is not None
        row = places.get(place)  # none: the resource was purged, which what is due never is
        takes = row is not None and (_wins_late(attempt, row) or (held and row.state is DeliveryState.DUE))
        changed.append(takes)
        if row is not None and takes:
            _record_attempt(store, attempt, row, log, held=held)
            touched[row.delivery_row] = row
            if attempt.pauses:
                pause(store, attempt.delivery.endpoint, attempt.full_reason)
    _write(store, [*touched.values()], log)
    start_retention(store, {row.resource_row for row in touched.values()})
    return changed


def start_retention(store: Store, resource_rows: Iterable[int]) -> None:
    """Retention runs while nothing is due; a dead delivery has a retention of its own (R25)."""
    ledger_limits, now = store.ledger_limits, store.now()
    rows = []
    for resource_row, due, dead in _decode_triples(store.value("delivery_ends", as_json([*resource_rows])).encode()):
        kept = ledger_limits.dead_retention if dead else ledger_limits.retention
        rows.append([resource_row, None if due or kept is None else now + kept])
    store.run_rows("set_retention", rows)


def count_move(store: Store, old: DeliveryState, new: DeliveryState) -> None:
    """Count that a delivery went from *old* to *new*."""
    due, dead = DeliveryState.DUE, DeliveryState.DEAD
    store.count(due=(new is due) - (old is due), dead=(new is dead) - (old is dead))


def _wins_late(attempt: Attempt, row: _Row) -> bool:
    """A success counts whoever holds the lease now (R24)."""
    return attempt.state is DeliveryState.DELIVERED and row.state is not DeliveryState.DELIVERED


def _record_attempt(store: Store, attempt: Attempt, row: _Row, log: list[tuple[object, ...]], *, held: bool) -> None:
    if held:
        check_step(DELIVERY_STEPS, DeliveryState.LEASED, attempt.state)
    else:
        store.deliveries.drop_key(row.delivery_row)  # a late success ends the lease of whoever tries again
    count_move(store, row.state, attempt.state)
    row.state = attempt.state
    row.due_at = store.now() + attempt.delay
    if not attempt.counted:
        row.note = attempt.full_reason
        return
    if row.tried_at is not None:
        log.append((row.delivery_row, row.attempts, row.tried_at, row.seconds, row.result, row.reason))
    row.attempts += 1
    row.step += 1
    row.reason, row.note = attempt.full_reason, None
    row.tried_at, row.seconds = store.clock.wall() - attempt.seconds, attempt.seconds
    row.result = DELIVERED if attempt.state is DeliveryState.DELIVERED else FAILED


def _write(store: Store, rows: Sequence[_Row], log: Sequence[tuple[object, ...]]) -> None:
    if not rows:
        return
    updates = [
        (
            row.delivery_row,
            row.state,
            row.attempts,
            row.step,
            row.due_at,
            row.reason,
            row.note,
            row.tried_at,
            row.seconds,
            row.result,
        )
        for row in rows
    ]
    store.run_rows("update_deliveries", updates)
    store.run_rows("log_attempts", log)
    store.run_rows("trim_log", [(row.delivery_row, row.attempts - LOG) for row in rows if row.attempts > LOG])
