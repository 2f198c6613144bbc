"""The step of `Ledger.record`: one outcome for each task, progress of its resource, and its end where it is finished.

The lease decides who may speak: it is dropped as its result is taken, so no packet gets a second outcome.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from functools import partial

import msgspec

from collator.engines.embedded.closing import close_finished
from collator.engines.embedded.leases import Held
from collator.engines.embedded.store import BULKY, INDEX_BITS, INDEX_MASK, Store, as_json
from collator.exchange import Key, Outcome, Output, Recorded, Result, Retry
from collator.footprint import of_packet
from collator.resource import Standing
from collator.states import State


class _Step(msgspec.Struct):
    """What a batch of results comes to."""

    statuses: list[Recorded] = []
    outcomes: list[tuple[int, str | None, int, str | None, int, int]] = []
    outputs: int = 0
    """Bytes of the outputs among them."""
    retries: list[tuple[int, int, float, str]] = []
    tried: list[int] = []
    """Packets whose row on earlier attempts can go."""
    failed: dict[int, Key] = {}
    """Packets that have failed for good, by the lease under which they did."""
    touched: dict[int, Standing] = {}
    known_at: dict[int, float] = {}
    size: int = 0
    """What the packets that got an outcome counted as backlog."""


def record(store: Store, batch: Sequence[tuple[Sequence[Result], Mapping[str, int]]]) -> list[Outcome]:
    """Store *batch*, a list of (results, room), and answer each of its parts.

    The deliveries that are born go to the first part, within the room that it has.
    """
    given = [result for results, _ in batch for result in results]
    held = store.packets.drop_all([result.lease for result in given])
    step = settle_results(store, list(zip(given, held, strict=True)))
    room = batch[0][1] if len(batch) == 1 else merge_rooms([room for _, room in batch])
    closed = close_finished(store, [*step.touched.values()], room=room, known_at=step.known_at)
    answers, start = [], 0
    for place, (results, _) in enumerate(batch):
        statuses = step.statuses[start : start + len(results)]
        start += len(results)
        answer = closed if place == 0 else Outcome([], [], frozenset())
        answers.append(msgspec.structs.replace(answer, statuses=statuses, failed=_failed(step, results)))
    return answers


def _failed(step: _Step, results: Sequence[Result]) -> Key | None:
    return next((step.failed[result.lease] for result in results if result.lease in step.failed), None)


def settle_results(store: Store, held: Sequence[tuple[Result, Held | None]] | Sequence[tuple[Result, Held]]) -> _Step:
    """Store the results of packets that were *held*; the standings they touched are changed, nothing is closed yet."""
    step = _Step()
    rks = {one.key >> INDEX_BITS for _, one in held if one is not None}
    standings = {standing.key: standing for standing in store.standings("find_handles", as_json([*rks]))}
    for result, one in held:
        step.statuses.append(_take(store, step, standings, result, one))
    bulky = step.outputs > BULKY * len(step.outcomes)
    insert = partial(store.run_each, "insert_outcome") if bulky else partial(store.run_rows, "insert_outcomes")
    if insert(step.outcomes) != len(step.outcomes):
        raise AssertionError("an outcome was stored twice")
    store.count(waiting=-len(step.outcomes), backlog=-step.size)
    store.run_rows("retry_later", step.retries)
    store.next_retry = min([store.next_retry, *(due_at for _, _, due_at, _ in step.retries)])
    store.run_rows("forget_attempts", step.tried)
    progress = [[one.key, one.done, one.failed, one.body_size] for one in step.touched.values()]
    store.run_rows("progress_resources", progress, store.active())
    store.touch(step.touched.values())
    return step


def isolate(error: Exception) -> Outcome:
    """The answer for the one result that the store could not take."""
    del error  # the caller's log has it; the packet will be handed out again when its lease ends
    return Outcome([Recorded.ERROR], [], frozenset())


def join(parts: Sequence[Outcome]) -> Outcome:
    """The answers to the parts of one call as one answer."""
    return Outcome(
        [status for part in parts for status in part.statuses],
        [delivery for part in parts for delivery in part.deliveries],
        frozenset().union(*(part.endpoints for part in parts)),
        sum(part.closed for part in parts),
        failed=next((part.failed for part in parts if part.failed), None),
    )


def merge_rooms(rooms: Sequence[Mapping[str, int]]) -> Mapping[str, int]:
    """The room of callers who look at the same window: the least that any of them saw."""
    merged = dict(rooms[0])
    for room in rooms[1:]:
        for name, count in room.items():
            merged[name] = min(merged.get(name, count), count)
    return merged


def _take(store: Store, step: _Step, standings: Mapping[int, Standing], result: Result, held: Held | None) -> Recorded:
    if held is None:
        return Recorded.LOST
    standing = standings.get(held.key >> INDEX_BITS)
    if standing is None or standing.state is not State.OPEN:
        return Recorded.CLOSED
    if held.tried and not isinstance(result, Retry):
        step.tried.append(held.key)
    if isinstance(result, Retry):
        step.retries.append((held.key, held.attempt, store.now() + result.delay, result.reason))
        return Recorded.RECORDED
    if isinstance(result, Output):
        size = standing.body_size + len(result.output) + 1
        if size <= store.terms.max_body:
            standing.done += 1
            standing.body_size = size
            crc = zlib.crc32(result.output)
            step.outcomes.append((held.key, result.output.decode(), crc, None, held.attempt, standing.seq))
            step.outputs += len(result.output)
            step.known_at[standing.key] = result.known_at
        else:
            reason = f"the collated body would have {size} bytes, {store.terms.max_body} at most (max_body)"
            _fail(step, standing, held, result.lease, reason)
    else:
        _fail(step, standing, held, result.lease, result.reason)
    step.touched[standing.key] = standing
    step.size += of_packet(held.size)
    return Recorded.RECORDED


def _fail(step: _Step, standing: Standing, held: Held, lease: int, reason: str) -> None:
    standing.failed += 1
    step.failed[lease] = Key(standing.resource_id, standing.generation, held.key & INDEX_MASK)
    step.outcomes.append((held.key, None, 0, reason, held.attempt, standing.seq))
