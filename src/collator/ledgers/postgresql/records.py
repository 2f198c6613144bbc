"""The step of `Ledger.record`: one outcome for each packet, progress of its resource, and its end where it is finished.

The lease decides who may speak: its place is dropped as its result is taken, so no packet gets a second outcome.
Resources are locked first, in the order of their ids, then leases.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from collator.ledgers.postgresql.closure import close_finished
from collator.ledgers.postgresql.leases import Held, count_returned, lock_leases, store_dropped
from collator.ledgers.postgresql.plain import record_plain
from collator.ledgers.postgresql.step import Step, as_snapshot, clean
from collator.messages import AnyResult, Result, StepResult, results_of
from collator.rules.capacity import merge_capacities
from collator.rules.outcomes import OutcomePlan, Outcomes, plan_results
from collator.rules.resource import INDEX_BITS, Snapshot


async def record(step: Step, batch: Sequence[tuple[Sequence[AnyResult], Mapping[str, int]]]) -> list[StepResult]:
    """Store *batch*, a list of (reports, capacity), and answer each of its parts.

    The deliveries that are created go to the first part, within the capacity that it has.
    """
    by_packet = [(results_of(reports), capacity) for reports, capacity in batch]
    return await record_plain(step, by_packet) or await _record_odd(step, by_packet)


async def _record_odd(step: Step, batch: Sequence[tuple[Sequence[Result], Mapping[str, int]]]) -> list[StepResult]:
    await step.look_around()
    given = [result for results, _ in batch for result in results]
    snapshots = await lock_rows(step, {result.lease.key for result in given})
    leases = await lock_leases(step, [result.lease for result in given])
    held = [
        lease.drop(result.lease.position)
        if (lease := leases.get(result.lease.token)) is not None and lease.resource_row == result.lease.key
        else None
        for result in given
    ]
    count_returned(step, [one for one in held if one is not None])
    await store_dropped(step, leases.values())
    plan = await apply_results(step, list(zip(given, held, strict=True)), snapshots)
    capacity = batch[0][1] if len(batch) == 1 else merge_capacities([capacity for _, capacity in batch])
    closed = await close_finished(step, [*plan.touched.values()], capacity=capacity, known_at=plan.known_at)
    answers, start = [], 0
    for place, (results, _) in enumerate(batch):
        end = start + len(results)
        failed = next((plan.failed[one] for one in range(start, end) if one in plan.failed), None)
        answer = closed if place == 0 else StepResult([], [], frozenset())
        answers.append(msgspec.structs.replace(answer, statuses=plan.statuses[start:end], failed=failed))
        start = end
    return answers


async def lock_rows(step: Step, resource_rows: Iterable[int]) -> dict[int, Snapshot]:
    """The resources *resource_rows* by handle, as far as they are there, locked in the order of their ids."""
    asked = [*resource_rows]
    if step.beside.ids:
        await step.value("lock_all", step.beside.ids, asked)
    rows = await step.rows("lock_resources", asked) if asked else []
    return {row["rk"]: as_snapshot(row) for row in rows}


async def apply_results(
    step: Step, held: Sequence[tuple[Result, Held | None]], snapshots: Mapping[int, Snapshot]
) -> OutcomePlan:
    """Store the results of packets that were *held*; the snapshots they touched are changed, nothing is closed yet."""
    reported = [(one.run(), [0], [place]) for place, (_, one) in enumerate(held) if one is not None]
    results = [result for result, _ in held]
    plan = plan_results(results, reported, snapshots, max_body=step.ledger_limits.max_body, now=step.now)
    await step.run_rows("insert_outcomes", [row for outcome in plan.outcomes for row in _rows(outcome)])
    step.count(waiting=-plan.concluded, backlog=-plan.backlog)
    retries = {key: (key, used, due_at, clean(reason)) for key, used, due_at, reason in plan.retries}
    await step.run_rows("retry_later", [*retries.values()])
    if plan.tried:
        await step.run("forget_attempts", plan.tried)
    progress = [[one.key, one.done, one.failed, one.body_size] for one in plan.touched.values()]
    await step.run_rows("progress_resources", progress, step.active)
    step.touch(plan.touched.values())
    return plan


def _rows(outcomes: Outcomes) -> list[tuple[int, bytes | None, int, str | None, int, int]]:
    """The rows of the store that *outcomes* are."""
    base, attempts = outcomes.resource_row << INDEX_BITS, outcomes.attempts
    if outcomes.reason is not None:
        return [(base | outcomes.indexes[0], None, 0, clean(outcomes.reason), attempts, outcomes.seq)]
    pairs = enumerate(zip(outcomes.indexes, outcomes.outputs, strict=True), outcomes.seq)
    return [(base | index, output, zlib.crc32(output), None, attempts, seq) for seq, (index, output) in pairs]


def held_rows(held: Iterable[Held]) -> set[int]:
    """The resources of packets that are *held*."""
    return {one.key >> INDEX_BITS for one in held}
