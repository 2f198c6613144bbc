"""What time and people do to resources: timeouts, deadlines, complete, cancel, retry, purge (R13 to R16, R25)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import msgspec

from collator.engines.embedded import tombstones
from collator.engines.embedded.accepting import open_resources
from collator.engines.embedded.closing import End, close, close_finished, span
from collator.engines.embedded.readable import readable
from collator.engines.embedded.shrinking import shrink
from collator.engines.embedded.store import INDEX_MASK, Store, as_json
from collator.errors import Conflict, Damaged, Ended, Malformed
from collator.exchange import Key, Outcome
from collator.resource import Ending, Standing, forced, waits_for_sender
from collator.states import PACKET_STEPS, EndedBy, PacketState, State, check_step

_decode_numbers = msgspec.json.Decoder(list[int]).decode
_decode_times = msgspec.json.Decoder(list[tuple[int, float]]).decode

TICK = 5.0
"""Seconds after which the uptime is stored, even if nothing else changed: what a crash can add to an idle timeout."""


def expire(store: Store, accepting: bool, limit: int, room: Mapping[str, int]) -> Outcome:  # noqa: FBT001 - a step takes its call as it came
    """Close what has been idle too long or is past its deadline."""
    store.tick(accepting=accepting)
    if store.trouble or store.now() - store.persisted_at >= TICK:  # only what is written proves that it can be
        store.run("persist", store.now(), store.uptime, "{}")  # the transaction writes the counters
    late = _decode_numbers(store.value("past_deadline", store.now(), limit).encode())
    ends = [End(standing, Ending(State.INCOMPLETE, EndedBy.DEADLINE)) for standing in _standings(store, late)]
    idle, looked = _idle(store, limit - len(ends), {*late})
    closed = close(store, [*ends, *idle], room=room)
    return msgspec.structs.replace(closed, more=len(late) + looked >= limit)


def complete(
    store: Store,
    resource_id: str,
    total: int | None,
    force: bool,  # noqa: FBT001 - a step takes its call as it came
    room: Mapping[str, int],
) -> Outcome:
    """Fix the total, or close now (R15)."""
    if total is not None and not 0 <= total <= store.terms.bounds.max_packets:
        raise Malformed(f"total: {total} is not between 0 and {store.terms.bounds.max_packets}")
    standing = _find_or_open(store, resource_id) if total == 0 else _find(store, resource_id)
    if total is not None and standing.total not in (None, total):
        raise Conflict(f"a total of {total} contradicts the total of {standing.total}, which is fixed")
    if standing.state is not State.OPEN:
        if total is not None and standing.total != total:
            raise Conflict(f"the resource has ended ({standing.state}) without a total")
        return Outcome([], [], frozenset())
    if total is not None and standing.total is None:
        if total <= standing.highest:
            raise Conflict(f"a total of {total} contradicts index {standing.highest}, which is there already")
        standing.total, standing.total_by = total, EndedBy.TOTAL
        store.run("fix_total", standing.key, total)
    closed = close_finished(store, [standing], room=room, known_at={})
    if force and not closed.closed:
        return close(store, [End(standing, forced(standing))], room=room)
    return closed


def cancel(store: Store, resource_id: str) -> None:
    """End without a webhook."""
    standing = _find(store, resource_id)
    if standing.state is State.CANCELLED:
        return
    if standing.state is not State.OPEN:
        raise Ended(f"resource {resource_id!r} has ended ({standing.state}); it cannot be cancelled")
    close(store, [End(standing, Ending(State.CANCELLED, None))], room={})


def retry(store: Store, resource_id: str) -> list[Key]:
    """Give the failed packets a new set of attempts (R16)."""
    standing = _find(store, resource_id)
    if standing.state is not State.OPEN:
        raise Ended(f"resource {resource_id!r} has ended ({standing.state}); its packets cannot be retried")
    keys = _decode_numbers(store.value("failed_keys", *span(standing.key)).encode())
    if not keys:
        return []
    check_step(PACKET_STEPS, PacketState.FAILED, PacketState.WAITING)
    rows = as_json(keys)
    store.run("forget_outcomes", rows)
    store.run("withdraw_numbers", standing.key, len(keys))
    store.ready += store.run("add_ready", rows)
    store.count(waiting=len(keys), backlog=store.value("payload_sizes", rows))
    store.run_rows("progress_resources", [[standing.key, standing.done, 0, standing.body_size]], store.active())
    return [Key(resource_id, standing.generation, key & INDEX_MASK) for key in keys]


def purge(store: Store, limit: int, resource_id: str | None) -> int:
    """Forget what may be forgotten, at most about *limit* rows."""
    removed = 0 if resource_id is None else _purge_now(store, resource_id)
    while removed < limit and (due := store.value("purge_due", store.now())) is not None:
        rk, state, purging = due
        before = removed
        for table in ("purge_outcomes", "purge_packets"):
            removed += store.run(table, *span(rk), limit - removed)
        if removed >= limit and removed > before:
            store.run("purge_begins", rk)
            break
        if purging != tombstones.BY_PERSON:
            tombstones.leave(store, rk)
        store.count(dead=-store.value("dead_of", rk), **{state: -1})
        removed += store.run("purge_log", rk) + store.run("purge_deliveries", rk) + store.run("purge_resource", rk)
    removed += tombstones.delete_old(store, limit - removed)
    if removed < limit:
        shrink(store)
    return removed


def _purge_now(store: Store, resource_id: str) -> int:
    """Have the resource forgotten first; how many rows went at once."""
    standing = _look_for(store, resource_id)
    if standing is None and (deleted := tombstones.delete(store, resource_id)):
        return deleted
    if standing is None:
        raise tombstones.unknown(resource_id, None)
    if standing.state is State.OPEN:
        raise Conflict(f"resource {resource_id!r} is open; cancel it first")
    if store.value("due_of", standing.key):
        raise Conflict(f"resource {resource_id!r} has a delivery that is due; stop it first")
    store.run("purge_now", standing.key)
    return 0


def _idle(store: Store, limit: int, but: set[int]) -> tuple[list[End], int]:
    """The resources that have been silent too long, and at how many it looked; at those that go on it looks later."""
    timeout = store.terms.idle_timeout
    if timeout is None or limit <= 0:
        return [], 0
    active_at = dict(_decode_times(store.value("idle_resources", store.uptime, limit).encode()))
    found = _standings(store, [*active_at])
    ends, again = [], [[rk, store.uptime + timeout] for rk in active_at.keys() - {standing.key for standing in found}]
    for standing in found:
        due = active_at[standing.key] + timeout
        if standing.key in but:
            continue
        if not waits_for_sender(standing):
            again.append([standing.key, store.uptime + timeout])  # an outcome, which has to come first, starts it anew
        elif due > store.uptime:
            again.append([standing.key, due])
        else:
            ends.append(End(standing, Ending(State.INCOMPLETE, EndedBy.IDLE_TIMEOUT)))
    store.run_rows("look_again", again)
    return ends, len(active_at)


def _standings(store: Store, rks: Sequence[int]) -> list[Standing]:
    """Those of the resources *rks* that can be read."""
    return readable(lambda some: store.standings("find_handles", as_json(some)), rks)


def _find(store: Store, resource_id: str) -> Standing:
    standing = _look_for(store, resource_id)
    if standing is None:
        raise tombstones.unknown(resource_id, store.value("tombstone", resource_id))
    return standing


def _find_or_open(store: Store, resource_id: str) -> Standing:
    """The resource, or a new generation of one that nobody sent a packet for (R10). `Unknown` where it is gone."""
    standing = _look_for(store, resource_id)
    if standing is not None:
        return standing
    if (gone := store.value("tombstone", resource_id)) is not None:
        raise tombstones.unknown(resource_id, gone)
    standing = Standing(resource_id=resource_id, generation=os.urandom(16), key=store.next_rk)
    store.next_rk += 1
    open_resources(store, [standing])
    return standing


def _look_for(store: Store, resource_id: str) -> Standing | None:
    try:
        found = store.standings("find_resources", as_json([resource_id]))
    except ValueError as error:
        raise Damaged(f"what is stored of resource {resource_id!r} is damaged: {error}") from error
    return found[0] if found else None
