"""How resources end, and what their end freezes, with no store in sight (R10, R12, R16 to R19, R25)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collator.messages import PacketReport
from collator.rules.body import body, extent
from collator.rules.closure import (
    CANCELLED,
    PAST_DEADLINE,
    SILENT,
    ClosePlan,
    Closure,
    Details,
    Former,
    ends_of,
    plan_close,
    seen_at_a_glance,
)
from collator.rules.footprint import of_resource
from collator.rules.resource import Ending, LedgerLimits, Snapshot, ranges
from collator.states import EndedBy, IllegalStepError, OnFailure, State

WALL, NOW = 1_700_000_000.0, 50.0
WHOLE = Ending(State.COLLATED, EndedBy.LAST)


def snapshot(**known: Any) -> Snapshot:  # noqa: ANN401
    return Snapshot(resource_id="r", generation=bytes(16), **known)


def close(
    one: Snapshot, ending: Ending, details: Details | None = None, endpoints: Sequence[str] = ("default",)
) -> ClosePlan:
    limits = LedgerLimits(retention=7.0)
    closure = Closure(one, ending)
    return plan_close(closure, details or Details(), endpoints=endpoints, limits=limits, wall=WALL, now=NOW)


def test_only_what_is_finished_ends_and_each_with_its_own_time() -> None:
    done = snapshot(key=1, total=2, total_by=EndedBy.TOTAL, done=2)
    failed = snapshot(key=2, total=2, total_by=EndedBy.LAST, done=1, failed=1)
    waiting = snapshot(key=3, total=3, done=2)
    assert ends_of([done, failed, waiting], OnFailure.INCOMPLETE, {1: 4.0}) == [
        Closure(done, Ending(State.COLLATED, EndedBy.TOTAL), 4.0),
        Closure(failed, Ending(State.INCOMPLETE, EndedBy.LAST), 0.0),
    ]
    assert [end.snapshot.key for end in ends_of([done, failed], OnFailure.HOLD)] == [1]


@pytest.mark.parametrize("endpoints", [(), ("default",)])
@pytest.mark.parametrize(
    ("former", "kept"), [(Former("msg_a"), False), (Former("msg_a", due=1), True), (Former(dead=1), True)]
)
def test_r25_retention_waits_for_the_webhooks_of_the_generations_before(
    former: Former, kept: bool, endpoints: Sequence[str]
) -> None:
    closure, limits = Closure(snapshot(total=0), WHOLE), LedgerLimits(retention=7.0)
    details = Details()
    plan = plan_close(closure, details, endpoints=endpoints, limits=limits, wall=WALL, now=NOW, former=former)
    assert plan.purge_at == (None if kept or endpoints else NOW + 7.0)
    said = json.loads(plan.head + plan.tail)["data"]
    assert said.get("supersedes") == former.webhook_id
    before = ["supersedes"] if former.webhook_id else []
    assert [*said] == ["resource_id", "completed_by", "total", "metadata", *before, "outputs"]


def test_r12_a_resource_ends_once() -> None:
    one = snapshot(total=0)
    assert close(one, WHOLE).snapshot.state is State.COLLATED
    with pytest.raises(IllegalStepError, match="collated -> incomplete"):
        close(one, PAST_DEADLINE)


def test_r15_a_forced_whole_end_fixes_the_total() -> None:
    plan = close(snapshot(done=3, highest=2, received=3), Ending(State.COLLATED, EndedBy.FORCED))
    assert (plan.snapshot.total, plan.seen) == (3, None)


def test_r25_retention_begins_at_the_end_where_nothing_is_delivered() -> None:
    assert close(snapshot(total=0), WHOLE).purge_at is None
    assert close(snapshot(total=0), WHOLE, endpoints=()).purge_at == NOW + 7.0


def test_a_cancelled_resource_has_no_body_and_no_deliveries() -> None:
    plan = close(snapshot(received=1, highest=0), CANCELLED, Details(seen=[(0, 0)], unfinished=[(0, 0)]))
    assert (plan.head, plan.tail, plan.endpoints) == (b"", b"", ())
    assert (plan.purge_at, plan.seen, plan.ended_by) == (NOW + 7.0, [(0, 0)], None)


def test_what_an_open_resource_took_is_freed() -> None:
    one = snapshot(metadata=b'{"a":1}')
    assert close(one, SILENT).freed == of_resource("r", b'{"a":1}')


@given(st.sets(st.integers(0, 30)), st.one_of(st.none(), st.integers(31, 40)), st.data())
def test_r18_an_early_end_tells_of_every_index_once(received: set[int], total: int | None, data: st.DataObject) -> None:
    outcomes = {index: data.draw(st.sampled_from(["done", "failed", "unfinished"])) for index in sorted(received)}
    by = {fate: [index for index, one in outcomes.items() if one == fate] for fate in ("done", "failed", "unfinished")}
    one = snapshot(
        total=total,
        received=len(received),
        highest=max(received, default=-1),
        done=len(by["done"]),
        failed=len(by["failed"]),
    )
    assert one.unfinished == len(by["unfinished"])
    seen = ranges(sorted(received))
    assert seen_at_a_glance(one) in (None, seen, tuple(seen))
    details = Details(seen, ranges(by["unfinished"]), [PacketReport(index, "no", 3) for index in by["failed"]])
    plan = close(one, PAST_DEADLINE, details)
    outputs = [(index, b"%d" % index) for index in by["done"]]
    told = json.loads(body(State.INCOMPLETE, plan.head, outputs, plan.tail))["data"]
    assert (told["completed_by"], told["total"], plan.snapshot.total) == ("deadline", total, total)
    frame, size = len(plan.head) + len(plan.tail), sum(len(output) + 1 for _, output in outputs)
    most = extent(State.INCOMPLETE, done=len(outputs), size=size, frame=frame)
    assert most - 8 * len(outputs) <= len(body(State.INCOMPLETE, plan.head, outputs, plan.tail)) <= most
    indexes = [part["index"] for part in told["partial"] + told["failed"]]
    for first, last in told["missing"] + told["unfinished"]:
        indexes += range(first, last + 1)
    assert sorted(indexes) == [*range(one.highest + 1 if total is None else total)]


def test_r17_a_body_says_when_and_by_what_it_ended() -> None:
    plan = close(snapshot(total=0, metadata=b'{"a":1}'), WHOLE)
    told = json.loads(body(State.COLLATED, plan.head, [], plan.tail))
    assert told == {
        "type": "resource.collated",
        "timestamp": "2023-11-14T22:13:20.000000Z",
        "data": {"resource_id": "r", "completed_by": "last", "total": 0, "metadata": {"a": 1}, "outputs": []},
    }
