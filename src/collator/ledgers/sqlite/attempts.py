"""The end of attempts: the state of the delivery, its history, and what that means for its resource (R24, R25).

What an attempt does is decided in `collator.rules.deliveries`. Nothing is read of a delivery that was never attempted
before and whose lease still holds, as nearly all do: nobody has changed what counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from collator.ledgers.sqlite.endpoints import pause
from collator.ledgers.sqlite.leases import number_of
from collator.ledgers.sqlite.store import Store, as_json
from collator.messages import LOG, Attempt
from collator.rules.deliveries import LogRow, StoredDelivery, plan_attempts, purge_at
from collator.states import DeliveryState

_Stored = tuple[int, int, int, DeliveryState, int, int, float, str, str | None, float | None, float | None, str | None]
_decode_states = msgspec.json.Decoder(list[_Stored]).decode


def record_attempts(store: Store, batch: Sequence[Sequence[Attempt]]) -> list[list[bool]]:
    """Store how the attempts of *batch* ended; for each of its parts, whether each changed anything."""
    changed = iter(_record_attempts(store, [attempt for attempts in batch for attempt in attempts]))
    return [[next(changed) for _ in attempts] for attempts in batch]


def _record_attempts(store: Store, attempts: Sequence[Attempt]) -> list[bool]:
    held = store.deliveries.drop_all([number_of(attempt.delivery.lease) for attempt in attempts])
    places = {  # as they were created
        place: StoredDelivery(one.key, one.resource_row, DeliveryState.DUE, 0, 0, 0.0, "", None, None, None, None)
        for place, one in enumerate(held)
        if one is not None and one.resource_row is not None
    }
    if len(places) < len(attempts):
        places |= _look_up(store, [(place, one) for place, one in enumerate(attempts) if place not in places], places)
    ended = [
        (attempt, places.get(place), one is not None)
        for place, (attempt, one) in enumerate(zip(attempts, held, strict=True))
    ]
    plan = plan_attempts(ended, now=store.now, wall=store.wall)
    for key in plan.overtaken:
        store.deliveries.drop_key(key)
    for endpoint, reason in plan.paused.items():
        pause(store, endpoint, reason)
    store.count(due=plan.moves.due, dead=plan.moves.dead)
    _write(store, [*plan.touched.values()], plan.log)
    if plan.answers:
        store.run_rows("keep_answers", [*plan.answers.items()])
    start_retention(store, {one.resource_key for one in plan.touched.values()})
    return plan.changed


def start_retention(store: Store, resource_rows: Iterable[int]) -> None:
    """Let the retention of *resource_rows* run from now, where nothing of them is due (R25)."""
    limits, now = store.ledger_limits, store.now
    kept = [purge_at(due=0, dead=dead, limits=limits, now=now) for dead in (0, 1)]
    store.run_rows("set_retention", [*resource_rows], *kept)


def _look_up(
    store: Store, attempts: Sequence[tuple[int, Attempt]], known: Mapping[int, StoredDelivery]
) -> Mapping[int, StoredDelivery]:
    """The deliveries of *attempts*, each with its place, as they are stored; one that is *known* is the same."""
    asked = [(one.delivery.resource_id, one.delivery.generation.hex(), one.delivery.endpoint) for _, one in attempts]
    stored = _decode_states(store.value("delivery_states", as_json(asked)).encode())
    if len(stored) < len(asked):
        stored += _decode_states(store.value("superseded_states", as_json(asked)).encode())
    deliveries = {one.key: one for one in known.values()}
    for row in stored:
        deliveries.setdefault(row[1], StoredDelivery(*row[1:]))
    return {attempts[place][0]: deliveries[key] for place, key, *_ in stored}


def _write(store: Store, rows: Sequence[StoredDelivery], log: Sequence[LogRow]) -> None:
    if not rows:
        return
    updates = [
        (
            row.key,
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
    if log:  # of what was attempted before
        store.run_rows("log_attempts", log)
        store.run_rows("trim_log", [(row.key, row.attempts - LOG) for row in rows if row.attempts > LOG])
