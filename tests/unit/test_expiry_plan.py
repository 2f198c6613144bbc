"""Which resources silence ends, with no store in sight (R13)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collator.rules.expiry import first_times, plan_idle
from collator.rules.resource import LedgerLimits, Snapshot
from collator.states import EndedBy

UPTIME = 1000.0


def resource(key: int, received: int, done: int, total: int | None) -> Snapshot:
    return Snapshot(
        resource_id=str(key), generation=b"", key=key, received=received, highest=received - 1, done=done, total=total
    )


resources = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 5), st.one_of(st.none(), st.integers(5, 7)), st.floats(0, UPTIME)),
    max_size=12,
)


@given(resources, st.floats(0.001, 2000), st.integers(0, 12))
def test_r13_silence_ends_only_what_waits_for_its_sender_and_has_been_silent_for_long_enough(
    drawn: list[tuple[int, int, int | None, float]], timeout: float, unread: int
) -> None:
    found = [resource(key, max(one, two), min(one, two), total) for key, (one, two, total, _) in enumerate(drawn)]
    active_at = {key: at for key, (*_, at) in enumerate(drawn)}
    plan = plan_idle(active_at, found[unread:], timeout=timeout, uptime=UPTIME)
    for end in plan.ends:
        assert end.snapshot.unfinished == 0
        assert end.snapshot.total is None or end.snapshot.received < end.snapshot.total
        assert active_at[end.snapshot.key] + timeout <= UPTIME
        assert end.ending.ended_by is EndedBy.IDLE_TIMEOUT
    assert sorted([end.snapshot.key for end in plan.ends] + [key for key, _ in plan.again]) == [*active_at]
    assert all(at >= min(UPTIME + timeout, active_at[key] + timeout) for key, at in plan.again)
    assert all(at > UPTIME for _, at in plan.again)


def test_r13_what_goes_on_is_looked_at_again_when_it_could_end_at_the_earliest() -> None:
    silent, busy, whole, later = (
        resource(key, *rest) for key, rest in enumerate([(1, 1, None), (2, 1, None), (2, 2, 2), (1, 1, 3)])
    )
    active_at = {0: 900.0, 1: 900.0, 2: 900.0, 3: 950.0, 4: 900.0}
    plan = plan_idle(active_at, [silent, busy, whole, later], timeout=100.0, uptime=UPTIME)
    assert [end.snapshot for end in plan.ends] == [silent]
    assert plan.again == [(1, 1100.0), (2, 1100.0), (3, 1050.0), (4, 1100.0)]


def test_r13_r14_silence_runs_on_the_uptime_and_the_deadline_on_the_time() -> None:
    limits = LedgerLimits(idle_timeout=60.0, deadline=600.0)
    assert first_times(limits, uptime=5.0, now=1000.0) == (65.0, 1600.0)
    assert first_times(LedgerLimits(idle_timeout=None), uptime=5.0, now=1000.0) == (None, None)
