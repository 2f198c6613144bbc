"""The step of `Ledger.record`: one outcome for each task, progress of its resource, and its end where it is finished.

The lease decides who may speak: it is dropped as its result is taken, so no packet gets a second outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from collator.ledgers.sqlite.closure import close_finished
from collator.ledgers.sqlite.leases import number_of
from collator.ledgers.sqlite.outruns import rows_of
from collator.ledgers.sqlite.store import Store
from collator.messages import AnyResult, StepResult, packets_of
from collator.rules.capacity import merge_capacities
from collator.rules.outcomes import OutcomePlan, Outcomes, Reported, plan_results
from collator.rules.resource import Snapshot
from collator.states import State

KEPT = 16 * 1024
"""Bytes of the outputs of a resource that are kept with its snapshot: of larger ones reading costs little beside it."""


def record(store: Store, batch: Sequence[tuple[Sequence[AnyResult], Mapping[str, int]]]) -> list[StepResult]:
    """Store *batch*, a list of (reports, capacity), and answer each of its parts.

    The deliveries that are created go to the first part, within the capacity that it has.
    """
    given = [report for reports, _ in batch for report in reports]
    reported = store.packets.end_spans([(number_of(report.lease), packets_of(report)) for report in given])
    capacity = batch[0][1] if len(batch) == 1 else merge_capacities([capacity for _, capacity in batch])
    plan, closed = apply_results(store, given, reported, capacity)
    answers, start = [], 0
    for place, (reports, _) in enumerate(batch):
        end = start + sum(map(packets_of, reports))
        first_failed = min([one for one in plan.failed if start <= one < end], default=-1)
        answer = closed if place == 0 else StepResult([], [], frozenset())
        answers.append(
            msgspec.structs.replace(answer, statuses=plan.statuses[start:end], failed=plan.failed.get(first_failed))
        )
        start = end
    return answers


def apply_results(
    store: Store, reports: Sequence[AnyResult], reported: Sequence[Reported], capacity: Mapping[str, int]
) -> tuple[OutcomePlan, StepResult]:
    """Store *reports*, as far as they are *reported* for packets that were held, and the ends that come of them."""
    snapshots = store.resources.take_by_row({run.resource_row for run, _, _ in reported})
    plan = plan_results(reports, reported, snapshots, max_body=store.ledger_limits.max_body, now=store.now)
    _keep_outputs(plan.outcomes, snapshots)
    store.run_rows("insert_outruns", rows_of(plan.outcomes), size=plan.output_bytes)
    store.count(waiting=-plan.concluded, backlog=-plan.backlog)
    if plan.retries:
        store.run_rows("retry_later", plan.retries)
        store.next_retry = min([store.next_retry, *[due_at for _, _, due_at, _ in plan.retries]])
    if plan.tried:
        store.run_rows("forget_attempts", plan.tried)
    touched = [*plan.touched.values()]
    store.touch(touched)
    closed = close_finished(store, touched, capacity=capacity, known_at=plan.known_at)
    progress = [(one.key, one.done, one.failed, one.body_size) for one in touched if one.state is State.OPEN]
    store.run_rows("progress_resources", progress, store.active)  # of those that end, their end is the only change
    store.resources.put(snapshots.values())
    return plan, closed


def _keep_outputs(outcomes: Iterable[Outcomes], snapshots: Mapping[int, Snapshot]) -> None:
    """Keep the outputs of *outcomes* with the snapshots of their resources, all of each or none.

    So the body of a small resource is joined without reading them.
    """
    for some in outcomes:
        snapshot = snapshots[some.resource_row]
        if not some.outputs:
            continue
        if snapshot.body_size > KEPT:
            snapshot.outputs = None
        elif some.seq == 1:
            snapshot.outputs = [*some.indexes], [*some.outputs]
        elif snapshot.outputs is not None:
            indexes, outputs = snapshot.outputs
            snapshot.outputs = indexes + some.indexes, outputs + some.outputs
