"""The step of `Ledger.record`: one outcome for each task, progress of its resource, and its end where it is finished.

The lease decides who may speak: it is dropped as its result is taken, so no packet gets a second outcome.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from functools import partial

import msgspec

from collator.ledgers.sqlite.closure import close_finished
from collator.ledgers.sqlite.leases import Lease
from collator.ledgers.sqlite.store import BULKY, INDEX_BITS, INDEX_MASK, Store, as_json
from collator.messages import Key, Output, Recorded, Result, Retry, StepResult
from collator.rules.footprint import of_packet
from collator.rules.resource import Snapshot
from collator.states import State


class _Step(msgspec.Struct):
    """The result of a step, before it is stored."""

    statuses: list[Recorded] = []
    outcomes: list[tuple[int, str | None, int, str | None, int, int]] = []
    outputs: int = 0
    """Bytes of the outputs among them."""
    retries: list[tuple[int, int, float, str]] = []
    tried: list[int] = []
    """Packets whose row on earlier attempts can go."""
    failed: dict[int, Key] = {}
    """Packets that have failed for good, by the lease under which they did."""
    touched: dict[int, Snapshot] = {}
    known_at: dict[int, float] = {}
    size: int = 0
    """What the packets that got an outcome counted as backlog."""


def record(store: Store, batch: Sequence[tuple[Sequence[Result], Mapping[str, int]]]) -> list[StepResult]:
    """Store *batch*, a list of (results, capacity), and answer each of its parts.

    The deliveries that are created go to the first part, within the capacity that it has.
    """
    given = [result for results, _ in batch for result in results]
    held = store.packets.drop_all([result.lease for result in given])
    step = apply_results(store, list(zip(given, held, strict=True)))
    capacity = batch[0][1] if len(batch) == 1 else merge_capacities([capacity for _, capacity in batch])
    closed = close_finished(store, [*step.touched.values()], capacity=capacity, known_at=step.known_at)
    answers, start = [], 0
    for place, (results, _) in enumerate(batch):
        statuses = step.statuses[start : start + len(results)]
        start += len(results)
        answer = closed if place == 0 else StepResult([], [], frozenset())
        answers.append(msgspec.structs.replace(answer, statuses=statuses, failed=_failed(step, results)))
    return answers


def _failed(step: _Step, results: Sequence[Result]) -> Key | None:
    return next((step.failed[result.lease] for result in results if result.lease in step.failed), None)


def apply_results(store: Store, held: Sequence[tuple[Result, Lease | None]] | Sequence[tuple[Result, Lease]]) -> _Step:
    """Store the results of packets that were *held*; the snapshots they touched are changed, nothing is closed yet."""
    step = _Step()
    resource_rows = {one.key >> INDEX_BITS for _, one in held if one is not None}
    snapshots = {snapshot.key: snapshot for snapshot in store.snapshots("find_handles", as_json([*resource_rows]))}
    for result, one in held:
        step.statuses.append(_take(store, step, snapshots, result, one))
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


def isolate(error: Exception) -> StepResult:
    """The answer for the one result that the store could not take."""
    del error  # the caller's log has it; the packet will be handed out again when its lease ends
    return StepResult([Recorded.ERROR], [], frozenset())


def join(parts: Sequence[StepResult]) -> StepResult:
    """The answers to the parts of one call as one answer."""
    return StepResult(
        [status for part in parts for status in part.statuses],
        [delivery for part in parts for delivery in part.deliveries],
        frozenset().union(*(part.endpoints for part in parts)),
        sum(part.closed for part in parts),
        failed=next((part.failed for part in parts if part.failed), None),
    )


def merge_capacities(capacities: Sequence[Mapping[str, int]]) -> Mapping[str, int]:
    """The capacity of callers who look at the same window: the least that any of them saw."""
    merged = dict(capacities[0])
    for capacity in capacities[1:]:
        for name, count in capacity.items():
            merged[name] = min(merged.get(name, count), count)
    return merged


def _take(store: Store, step: _Step, snapshots: Mapping[int, Snapshot], result: Result, held: Lease | None) -> Recorded:
    if held is None:
        return Recorded.LOST
    snapshot = snapshots.get(held.key >> INDEX_BITS)
    if snapshot is None or snapshot.state is not State.OPEN:
        return Recorded.CLOSED
    if held.tried and not isinstance(result, Retry):
        step.tried.append(held.key)
    if isinstance(result, Retry):
        step.retries.append((held.key, held.attempt, store.now() + result.delay, result.reason))
        return Recorded.RECORDED
    if isinstance(result, Output):
        size = snapshot.body_size + len(result.output) + 1
        if size <= store.ledger_limits.max_body:
            snapshot.done += 1
            snapshot.body_size = size
            crc = zlib.crc32(result.output)
            step.outcomes.append((held.key, result.output.decode(), crc, None, held.attempt, snapshot.seq))
            step.outputs += len(result.output)
            step.known_at[snapshot.key] = result.known_at
        else:
            reason = f"the collated body would have {size} bytes, {store.ledger_limits.max_body} at most (max_body)"
            _fail(step, snapshot, held, result.lease, reason)
    else:
        _fail(step, snapshot, held, result.lease, result.reason)
    step.touched[snapshot.key] = snapshot
    step.size += of_packet(held.size)
    return Recorded.RECORDED


def _fail(step: _Step, snapshot: Snapshot, held: Lease, lease: int, reason: str) -> None:
    snapshot.failed += 1
    step.failed[lease] = Key(snapshot.resource_id, snapshot.generation, held.key & INDEX_MASK)
    step.outcomes.append((held.key, None, 0, reason, held.attempt, snapshot.seq))
