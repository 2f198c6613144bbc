"""Changes to resources by time and by people: timeouts, deadlines, complete, cancel, retry (R13 to R16)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import msgspec

from collator.errors import Conflict, Ended, Malformed
from collator.ledgers.sqlite import tombstones
from collator.ledgers.sqlite.acceptance import open_resources
from collator.ledgers.sqlite.closure import Closure, close, close_finished, span
from collator.ledgers.sqlite.damage import readable
from collator.ledgers.sqlite.lookup import find, look_for
from collator.ledgers.sqlite.slices import ROWS, SECONDS, Slice
from collator.ledgers.sqlite.store import Store, as_json
from collator.messages import Key, StepResult
from collator.rules.footprint import of_resource
from collator.rules.resource import INDEX_MASK, Ending, Snapshot, forced, waits_for_sender
from collator.states import PACKET_STEPS, EndedBy, PacketState, State, check_step

_decode_numbers = msgspec.json.Decoder(list[int]).decode
_decode_times = msgspec.json.Decoder(list[tuple[int, float]]).decode

LOOKED = 64
"""Resources at which one step looks: more than end in it, so that few are read in vain."""
TICK = 5.0
"""Seconds after which the uptime is stored, even if nothing else changed: what a crash can add to an idle timeout."""


class Retried(msgspec.Struct):
    """The result of one step of a retry."""

    keys: list[Key]
    after: int
    """The index behind which the next step begins; `INDEX_MASK` where there is no more."""


class _Failed(msgspec.Struct, frozen=True):
    """Failures of a resource."""

    keys: list[int]
    last: int | None
    """Where there are more, the key behind which they are."""


_decode_failed = msgspec.json.Decoder(_Failed).decode


def expire(store: Store, accepting: bool, limit: int, capacity: Mapping[str, int]) -> StepResult:  # noqa: FBT001 - a step takes its call as it came
    """Close what has been idle too long or is past its deadline."""
    store.tick(accepting=accepting)
    if store.trouble or store.now() - store.persisted_at >= TICK:  # only what is written proves that it can be
        store.run("persist", store.now(), store.uptime, "{}")  # the transaction writes the counters
    limit = min(limit, LOOKED)
    late = _decode_numbers(store.value("past_deadline", store.now(), limit).encode())
    ends = [Closure(snapshot, Ending(State.INCOMPLETE, EndedBy.DEADLINE)) for snapshot in _snapshots(store, late)]
    idle, looked = _idle(store, limit - len(ends), {*late})
    ends += idle
    closed = close(
        store, Slice(SECONDS / 2).take(ends), capacity=capacity
    )  # what is written at the end takes as long again
    return msgspec.structs.replace(closed, more=len(late) + looked >= limit or closed.closed < len(ends))


def complete(
    store: Store,
    resource_id: str,
    total: int | None,
    force: bool,  # noqa: FBT001 - a step takes its call as it came
    capacity: Mapping[str, int],
) -> StepResult:
    """Fix the total, or close now (R15)."""
    if total is not None and not 0 <= total <= store.ledger_limits.packet_limits.max_packets:
        raise Malformed(f"total: {total} is not between 0 and {store.ledger_limits.packet_limits.max_packets}")
    snapshot = _find_or_open(store, resource_id) if total == 0 else find(store, resource_id)
    if total is not None and snapshot.total not in (None, total):
        raise Conflict(f"a total of {total} contradicts the total of {snapshot.total}, which is fixed")
    if snapshot.state is not State.OPEN:
        if total is not None and snapshot.total != total:
            raise Conflict(f"the resource has ended ({snapshot.state}) without a total")
        return StepResult([], [], frozenset())
    if total is not None and snapshot.total is None:
        if total <= snapshot.highest:
            raise Conflict(f"a total of {total} contradicts index {snapshot.highest}, which is there already")
        snapshot.total, snapshot.total_by = total, EndedBy.TOTAL
        store.run("fix_total", snapshot.key, total)
    closed = close_finished(store, [snapshot], capacity=capacity, known_at={})
    if force and not closed.closed:
        return close(store, [Closure(snapshot, forced(snapshot))], capacity=capacity)
    return closed


def cancel(store: Store, resource_id: str) -> bool:
    """End without a webhook; whether it was open."""
    snapshot = find(store, resource_id)
    if snapshot.state is State.CANCELLED:
        return False
    if snapshot.state is not State.OPEN:
        raise Ended(f"resource {resource_id!r} has ended ({snapshot.state}); it cannot be cancelled")
    close(store, [Closure(snapshot, Ending(State.CANCELLED, None))], capacity={})
    return True


def retry(store: Store, resource_id: str, after: int) -> Retried:
    """Give the failed packets behind the index *after* a new set of attempts, as long as a slice lasts (R16)."""
    snapshot = find(store, resource_id)
    if snapshot.state is not State.OPEN:
        raise Ended(f"resource {resource_id!r} has ended ({snapshot.state}); its packets cannot be retried")
    check_step(PACKET_STEPS, PacketState.FAILED, PacketState.WAITING)
    first, last = span(snapshot.key)
    retried = Retried([], first + after if snapshot.failed else last)
    time = Slice()
    while retried.after < last and time.lasts():
        looked = _decode_failed(store.value("failed_keys", retried.after, last, ROWS).encode())
        _withdraw(store, snapshot, looked.keys)
        retried.keys += [Key(resource_id, snapshot.generation, key & INDEX_MASK) for key in looked.keys]
        retried.after = last if looked.last is None or not snapshot.failed else looked.last
    retried.after -= first
    return retried


def _withdraw(store: Store, snapshot: Snapshot, keys: Sequence[int]) -> None:
    """Let the failures *keys* of *snapshot* be due again."""
    if not keys:
        return
    rows = as_json(keys)
    store.run("forget_outcomes", rows)
    store.run("withdraw_numbers", snapshot.key, len(keys))
    store.ready += store.run("add_ready", rows)
    store.count(waiting=len(keys), backlog=store.value("backlog_of", rows))
    snapshot.failed -= len(keys)
    progress = [snapshot.key, snapshot.done, snapshot.failed, snapshot.body_size]
    store.run_rows("progress_resources", [progress], store.active())


def _idle(store: Store, limit: int, but: set[int]) -> tuple[list[Closure], int]:
    """The resources that have been silent too long, and at how many it looked; at those that go on it looks later."""
    timeout = store.ledger_limits.idle_timeout
    if timeout is None or limit <= 0:
        return [], 0
    active_at = dict(_decode_times(store.value("idle_resources", store.uptime, limit).encode()))
    found = _snapshots(store, [*active_at])
    ends, again = (
        [],
        [
            [resource_row, store.uptime + timeout]
            for resource_row in active_at.keys() - {snapshot.key for snapshot in found}
        ],
    )
    for snapshot in found:
        due = active_at[snapshot.key] + timeout
        if snapshot.key in but:
            continue
        if not waits_for_sender(snapshot):
            again.append([snapshot.key, store.uptime + timeout])  # an outcome, which has to come first, starts it anew
        elif due > store.uptime:
            again.append([snapshot.key, due])
        else:
            ends.append(Closure(snapshot, Ending(State.INCOMPLETE, EndedBy.IDLE_TIMEOUT)))
    store.run_rows("look_again", again)
    return ends, len(active_at)


def _snapshots(store: Store, resource_rows: Sequence[int]) -> list[Snapshot]:
    """Those of the resources *resource_rows* that can be read."""
    return readable(lambda some: store.snapshots("find_handles", as_json(some)), resource_rows)


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
