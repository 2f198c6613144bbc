"""What time and people do to resources: timeouts, deadlines, complete, cancel, retry (R13 to R16)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import msgspec

from collator.engines.embedded import tombstones
from collator.engines.embedded.accepting import open_resources
from collator.engines.embedded.closing import End, close, close_finished, span
from collator.engines.embedded.finding import find, look_for
from collator.engines.embedded.readable import readable
from collator.engines.embedded.slices import ROWS, SECONDS, Slice
from collator.engines.embedded.store import INDEX_MASK, Store, as_json
from collator.errors import Conflict, Ended, Malformed
from collator.exchange import Key, Outcome
from collator.footprint import of_resource
from collator.resource import Ending, Standing, forced, waits_for_sender
from collator.states import PACKET_STEPS, EndedBy, PacketState, State, check_step

_decode_numbers = msgspec.json.Decoder(list[int]).decode
_decode_times = msgspec.json.Decoder(list[tuple[int, float]]).decode

LOOKED = 64
"""Resources at which one step looks: more than end in it, so that few are read in vain."""
TICK = 5.0
"""Seconds after which the uptime is stored, even if nothing else changed: what a crash can add to an idle timeout."""


class Retried(msgspec.Struct):
    """What one step of a retry has set free."""

    keys: list[Key]
    after: int
    """The index behind which the next step begins; `INDEX_MASK` where there is no more."""


class _Failed(msgspec.Struct, frozen=True):
    """Failures of a resource."""

    keys: list[int]
    last: int | None
    """Where there are more, the key behind which they are."""


_decode_failed = msgspec.json.Decoder(_Failed).decode


def expire(store: Store, accepting: bool, limit: int, room: Mapping[str, int]) -> Outcome:  # noqa: FBT001 - a step takes its call as it came
    """Close what has been idle too long or is past its deadline."""
    store.tick(accepting=accepting)
    if store.trouble or store.now() - store.persisted_at >= TICK:  # only what is written proves that it can be
        store.run("persist", store.now(), store.uptime, "{}")  # the transaction writes the counters
    limit = min(limit, LOOKED)
    late = _decode_numbers(store.value("past_deadline", store.now(), limit).encode())
    ends = [End(standing, Ending(State.INCOMPLETE, EndedBy.DEADLINE)) for standing in _standings(store, late)]
    idle, looked = _idle(store, limit - len(ends), {*late})
    ends += idle
    closed = close(store, Slice(SECONDS / 2).take(ends), room=room)  # what is written at the end takes as long again
    return msgspec.structs.replace(closed, more=len(late) + looked >= limit or closed.closed < len(ends))


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
    standing = _find_or_open(store, resource_id) if total == 0 else find(store, resource_id)
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


def cancel(store: Store, resource_id: str) -> bool:
    """End without a webhook; whether it was open."""
    standing = find(store, resource_id)
    if standing.state is State.CANCELLED:
        return False
    if standing.state is not State.OPEN:
        raise Ended(f"resource {resource_id!r} has ended ({standing.state}); it cannot be cancelled")
    close(store, [End(standing, Ending(State.CANCELLED, None))], room={})
    return True


def retry(store: Store, resource_id: str, after: int) -> Retried:
    """Give the failed packets behind the index *after* a new set of attempts, as long as a slice lasts (R16)."""
    standing = find(store, resource_id)
    if standing.state is not State.OPEN:
        raise Ended(f"resource {resource_id!r} has ended ({standing.state}); its packets cannot be retried")
    check_step(PACKET_STEPS, PacketState.FAILED, PacketState.WAITING)
    first, last = span(standing.key)
    retried = Retried([], first + after if standing.failed else last)
    time = Slice()
    while retried.after < last and time.lasts():
        looked = _decode_failed(store.value("failed_keys", retried.after, last, ROWS).encode())
        _withdraw(store, standing, looked.keys)
        retried.keys += [Key(resource_id, standing.generation, key & INDEX_MASK) for key in looked.keys]
        retried.after = last if looked.last is None or not standing.failed else looked.last
    retried.after -= first
    return retried


def _withdraw(store: Store, standing: Standing, keys: Sequence[int]) -> None:
    """Let the failures *keys* of *standing* be due again."""
    if not keys:
        return
    rows = as_json(keys)
    store.run("forget_outcomes", rows)
    store.run("withdraw_numbers", standing.key, len(keys))
    store.ready += store.run("add_ready", rows)
    store.count(waiting=len(keys), backlog=store.value("backlog_of", rows))
    standing.failed -= len(keys)
    progress = [standing.key, standing.done, standing.failed, standing.body_size]
    store.run_rows("progress_resources", [progress], store.active())


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


def _find_or_open(store: Store, resource_id: str) -> Standing:
    """The resource, or a new generation of one that nobody sent a packet for (R10). `Unknown` where it is gone."""
    standing = look_for(store, resource_id)
    if standing is not None:
        return standing
    if (gone := store.value("tombstone", resource_id)) is not None:
        raise tombstones.unknown(resource_id, gone)
    standing = Standing(resource_id=resource_id, generation=os.urandom(16), key=store.next_rk)
    store.next_rk += 1
    open_resources(store, [standing], of_resource(resource_id, None))
    return standing
