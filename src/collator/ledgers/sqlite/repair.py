"""Changes to resources by time and by people: timeouts, deadlines, complete, cancel (R13 to R15)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import msgspec

from collator.ledgers.sqlite import tombstones
from collator.ledgers.sqlite.acceptance import open_resources
from collator.ledgers.sqlite.closure import close
from collator.ledgers.sqlite.damage import readable
from collator.ledgers.sqlite.lookup import find, look_for
from collator.ledgers.sqlite.slices import SECONDS
from collator.ledgers.sqlite.store import Store
from collator.messages import StepResult
from collator.rules.closure import CANCELLED, PAST_DEADLINE, Closure
from collator.rules.expiry import plan_idle
from collator.rules.footprint import of_resource
from collator.rules.repair import cancels, check_total, plan_completion
from collator.rules.resource import Snapshot

_decode_numbers = msgspec.json.Decoder(list[int]).decode
_decode_times = msgspec.json.Decoder(list[tuple[int, float]]).decode

LOOKED = 64
"""Resources at which one step looks: more than end in it, so that few are read in vain."""
TICK = 5.0
"""Seconds after which the uptime is stored, even if nothing else changed: what a crash can add to an idle timeout."""


def expire(store: Store, accepting: bool, limit: int, capacity: Mapping[str, int]) -> StepResult:  # noqa: FBT001 - a step takes its call as it came
    """Close what has been idle too long or is past its deadline."""
    store.tick(accepting=accepting)
    if store.trouble or store.now - store.persisted_at >= TICK:  # only what is written proves that it can be
        store.run("persist", store.now, store.uptime, "{}")  # the transaction writes the counters
    limit = min(limit, LOOKED)
    late = _decode_numbers(store.value("past_deadline", store.now, limit).encode())
    ends = [Closure(snapshot, PAST_DEADLINE) for snapshot in _snapshots(store, late)]
    idle, looked = _idle(store, limit - len(ends), {end.snapshot.key for end in ends})
    ends += idle
    time = store.slice(SECONDS / 2)  # what is written at the end takes as long again
    closed = close(store, time.take(ends), capacity=capacity)
    return msgspec.structs.replace(closed, more=len(late) + looked >= limit or closed.closed < len(ends))


def complete(
    store: Store,
    resource_id: str,
    total: int | None,
    force: bool,  # noqa: FBT001 - a step takes its call as it came
    capacity: Mapping[str, int],
) -> StepResult:
    """Fix the total, or close now (R15)."""
    check_total(total, store.ledger_limits.packet_limits)
    snapshot = _find_or_open(store, resource_id) if total == 0 else find(store, resource_id)
    plan = plan_completion(snapshot, total, force=force, on_failure=store.ledger_limits.on_failure)
    if plan.fixes:
        store.run("fix_total", snapshot.key, total)
    return close(store, [Closure(snapshot, plan.ending)] if plan.ending else [], capacity=capacity)


def cancel(store: Store, resource_id: str) -> bool:
    """End without a webhook; whether it was open."""
    snapshot = find(store, resource_id)
    ends = cancels(snapshot)
    close(store, [Closure(snapshot, CANCELLED)] if ends else [], capacity={})
    return ends


def _idle(store: Store, limit: int, but: set[int]) -> tuple[list[Closure], int]:
    """The resources that have been silent too long, and at how many it looked; at those that go on it looks later."""
    timeout = store.ledger_limits.idle_timeout
    if timeout is None or limit <= 0:
        return [], 0
    active_at = dict(_decode_times(store.value("idle_resources", store.uptime, limit).encode()))
    asked = {resource_row: at for resource_row, at in active_at.items() if resource_row not in but}
    plan = plan_idle(asked, _snapshots(store, [*asked]), timeout=timeout, uptime=store.uptime)
    store.run_rows("look_again", plan.again)
    return plan.ends, len(active_at)


def _snapshots(store: Store, resource_rows: Sequence[int]) -> list[Snapshot]:
    """The snapshots of the resources *resource_rows*, as far as they can be read."""
    return readable(lambda some: [*store.resources.take_by_row(some, anew=True).values()], resource_rows)


def _find_or_open(store: Store, resource_id: str) -> Snapshot:
    """The resource, or a new generation of one that nobody sent a packet for (R10). `Unknown` where it is gone."""
    snapshot = look_for(store, resource_id)
    if snapshot is not None:
        return snapshot
    if (gone := store.value("tombstone", resource_id)) is not None:
        raise tombstones.unknown(resource_id, gone)
    snapshot = Snapshot(resource_id=resource_id, generation=os.urandom(16), key=store.next_rk)
    store.next_rk += 1
    open_resources(store, [snapshot], of_resource(resource_id, None))
    return snapshot
