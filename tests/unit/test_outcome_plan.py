"""What results mean for their packets and resources, with no store in sight (P2, R2, R12, R19, R26)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, groupby

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import asdict, replace

from collator.messages import AnyResult, Failure, Key, Lease, Output, Recorded, Result, Retry, RunOutputs
from collator.rules.footprint import of_packet
from collator.rules.outcomes import OutcomePlan, Reported, plan_results
from collator.rules.resource import INDEX_BITS, INDEX_MASK, Snapshot
from collator.states import State

LEASE = Lease(0, 0)
NOW = 100.0


class Held(Struct):
    """A leased packet."""

    key: int
    size: int = 10
    used: int | None = None


class Run(Struct):
    """A leased run."""

    resource_row: int
    indexes: Sequence[int] = []
    sizes: Sequence[int] = []
    used: Sequence[int | None] = []


Row = tuple[int, bytes | None, str | None, int, int]
"""Key, output or reason, attempts, number."""


def resources() -> dict[int, Snapshot]:
    """Return two that are open, and one that has ended."""
    states = {1: State.OPEN, 2: State.OPEN, 3: State.CANCELLED}
    return {
        key: Snapshot(resource_id=str(key), generation=bytes(16), key=key, state=state, withdrawn=4)
        for key, state in states.items()
    }


def plan(results: Sequence[tuple[Result, Held | None]], snapshots: dict[int, Snapshot]) -> OutcomePlan:
    """Decide *results* for packets each of which is a run."""
    return plan_results(
        [result for result, _ in results], reported(results, alone=True), snapshots, max_body=40, now=NOW
    )


def reported(results: Sequence[tuple[Result, Held | None]], *, alone: bool = False) -> list[Reported]:
    """Return the packets of *results* in runs: one for each resource, or all *alone*."""
    runs: dict[int, tuple[Run, list[int], list[int]]] = {}
    for place, (_, one) in enumerate(results):
        if one is None:
            continue
        resource_row = one.key >> INDEX_BITS
        run, positions, places = runs.setdefault(place if alone else resource_row, (Run(resource_row), [], []))
        positions.append(len(run.indexes))
        places.append(place)
        run.indexes = [*run.indexes, one.key & INDEX_MASK]
        run.sizes = [*run.sizes, one.size]
        run.used = [*run.used, one.used]
    for run, *_ in runs.values():
        run.used = [] if run.used.count(None) == len(run.used) else run.used
    return [(run, positions, places) for run, positions, places in runs.values()]


def rows(whole: OutcomePlan) -> list[Row]:
    """Return the outcomes of a plan one by one."""
    return [
        (
            one.resource_row << INDEX_BITS | index,
            one.outputs[place] if one.outputs else None,
            one.reason,
            one.attempts,
            seq,
        )
        for one in whole.outcomes
        for place, (index, seq) in enumerate(zip(one.indexes, count(one.seq)))
    ]


results = st.lists(
    st.tuples(
        st.one_of(
            st.builds(Output, st.just(0), st.sampled_from([b"1", b'"two"', b"3" * 30]), st.floats(0, 9)),
            st.builds(Failure, st.just(0), st.text(max_size=3)),
            st.builds(Retry, st.just(0), st.text(max_size=3), st.floats(0, 9)),
        ),
        st.tuples(st.integers(1, 4), st.integers(1, 5000), st.sampled_from([None, None, None, 0, 3])),
    ),
    max_size=30,
)


def held(drawn: list[tuple[Result, tuple[int, int, int | None]]]) -> list[tuple[Result, Held | None]]:
    """Return *drawn* with a packet of its own each; every seventh has lost its lease."""
    return [
        (result, None if place % 7 == 6 else Held(key << INDEX_BITS | place, size, used))
        for place, (result, (key, size, used)) in enumerate(drawn)
    ]


@given(results)
def test_results_are_decided_by_runs_as_one_by_one(drawn: list[tuple[Result, tuple[int, int, int | None]]]) -> None:
    given_ = held(drawn)
    decided_as_one_by_one(given_, [result for result, _ in given_], reported(given_))


@given(results, st.floats(0, 9), st.integers(1, 6))
def test_outputs_that_follow_each_other_are_decided_as_one_by_one(
    drawn: list[tuple[Result, tuple[int, int, int | None]]], known_at: float, most: int
) -> None:
    """Leases of some are lost, packets of some were tried before, bodies get too large, resources have ended."""
    given_ = [(_known(result, known_at), one) for result, one in held(drawn)]
    reports: list[AnyResult] = []
    for kind, some in groupby([result for result, _ in given_], type):
        same = [*some]
        parts = [same[start : start + most] for start in range(0, len(same), most)] if kind is Output else []
        reports += [RunOutputs(LEASE, [one.output for one in part], known_at) for part in parts] or same  # type: ignore[union-attr]
    runs = [(run, _as_range(positions), _as_range(places)) for run, positions, places in reported(given_)]
    decided_as_one_by_one(given_, reports, runs)


def _known(result: Result, at: float) -> Result:
    return replace(result, known_at=at) if isinstance(result, Output) else result


def _as_range(places: Sequence[int]) -> Sequence[int]:
    """Return *places* as the ledger gives those that follow each other."""
    whole = range(places[0], places[-1] + 1)
    return whole if [*whole] == [*places] else places


def decided_as_one_by_one(
    given_: list[tuple[Result, Held | None]], reports: Sequence[AnyResult], runs: Sequence[Reported]
) -> None:
    together, single = resources(), resources()
    whole = plan_results(reports, runs, together, max_body=40, now=NOW)
    parts = {place: plan([given_[place]], single) for _, _, places in runs for place in places}
    lost = {place: Recorded.LOST for place, (_, one) in enumerate(given_) if one is None}
    statuses = lost | {place: part.statuses[0] for place, part in parts.items()}
    assert whole.statuses == [statuses[place] for place in range(len(given_))]
    assert rows(whole) == [row for part in parts.values() for row in rows(part)]
    assert whole.retries == [retry for part in parts.values() for retry in part.retries]
    assert whole.tried == [key for part in parts.values() for key in part.tried]
    assert whole.failed == {place: part.failed[0] for place, part in parts.items() if part.failed}
    assert whole.known_at == {key: at for part in parts.values() for key, at in part.known_at.items()}
    for name in ("backlog", "concluded", "output_bytes"):
        assert getattr(whole, name) == sum(getattr(part, name) for part in parts.values())
    assert [asdict(one) for one in together.values()] == [asdict(one) for one in single.values()]


@given(results)
def test_r26_outcomes_are_numbered_without_gaps_and_sizes_add_up(
    drawn: list[tuple[Result, tuple[int, int, int | None]]],
) -> None:
    snapshots = resources()
    whole = plan(held(drawn), snapshots)
    outcomes = rows(whole)
    for key, snapshot in snapshots.items():
        mine = [one for one in outcomes if one[0] >> INDEX_BITS == key]
        assert [seq for *_, seq in mine] == [*range(5, 5 + len(mine))]
        outputs = [output for _, output, *_ in mine if output is not None]
        assert (snapshot.done, snapshot.failed) == (len(outputs), len(mine) - len(outputs))
        assert snapshot.body_size == sum(len(output) + 1 for output in outputs) <= 40
        assert (key in whole.touched) == bool(mine)
    sizes = {one.key: one.size for _, one in held(drawn) if one is not None}
    assert whole.backlog == sum(of_packet(sizes[key]) for key, *_ in outcomes)
    assert whole.output_bytes == sum(len(output) for _, output, *_ in outcomes if output is not None)
    assert {key & INDEX_MASK for key, output, *_ in outcomes if output is None} == {*whole.failed}


def test_p2_who_lost_the_lease_changes_nothing() -> None:
    snapshots = resources()
    whole = plan([(Output(LEASE, b"1"), None), (Failure(LEASE, "no"), None)], snapshots)
    assert whole == OutcomePlan(statuses=[Recorded.LOST, Recorded.LOST])
    assert snapshots == resources()


def test_r12_an_outcome_for_a_resource_that_has_ended_is_dropped() -> None:
    snapshots = resources()
    gone = plan([(Output(LEASE, b"1"), Held(3 << INDEX_BITS)), (Retry(LEASE, "", 1), Held(9 << INDEX_BITS))], snapshots)
    assert gone == OutcomePlan(statuses=[Recorded.CLOSED, Recorded.CLOSED])
    assert snapshots == resources()


def test_r19_an_output_that_makes_the_body_too_large_fails_its_packet() -> None:
    snapshots = resources()
    whole = plan(
        [(Output(LEASE, b"1" * 39), Held(1 << INDEX_BITS)), (Output(LEASE, b""), Held(1 << INDEX_BITS | 5))], snapshots
    )
    assert whole.statuses == [Recorded.RECORDED, Recorded.RECORDED]
    (_, output, *_), (_, none, reason, attempts, seq) = rows(whole)
    assert output == b"1" * 39
    assert (none, reason, attempts, seq) == (
        None,
        "the collated body would have 41 bytes, more than 40 (max_body)",
        1,
        6,
    )
    assert whole.failed == {1: Key("1", bytes(16), 5)}


def test_a_retry_is_due_after_its_delay_and_keeps_what_was_tried() -> None:
    whole = plan([(Retry(LEASE, "away", 7.5), Held(1 << INDEX_BITS, used=1))], resources())
    assert whole.retries == [(1 << INDEX_BITS, 2, NOW + 7.5, "away")]
    assert (whole.tried, whole.touched, whole.backlog) == ([], {}, 0)


def test_r27_a_retry_that_is_not_counted_leaves_the_number_of_attempts() -> None:
    whole = plan([(Retry(LEASE, "away", 0.0, counted=False), Held(1 << INDEX_BITS, used=1))], resources())
    assert whole.retries == [(1 << INDEX_BITS, 1, NOW, "away")]


def test_an_outcome_lets_earlier_attempts_be_forgotten() -> None:
    given_: list[tuple[Result, Held | None]] = [
        (Output(LEASE, b"1", known_at=3.0), Held(1 << INDEX_BITS, used=1)),
        (Failure(LEASE, "no"), Held(1 << INDEX_BITS | 1, used=0)),
        (Failure(LEASE, "no"), Held(1 << INDEX_BITS | 2)),
    ]
    whole = plan(given_, resources())
    assert whole.tried == [1 << INDEX_BITS, 1 << INDEX_BITS | 1]
    assert whole.known_at == {1: 3.0}
