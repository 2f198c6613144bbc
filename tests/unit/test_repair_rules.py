"""What people may wish for a resource, with no store in sight (R15, R16)."""

from __future__ import annotations

from typing import Any

import pytest

from collator.errors import Conflict, Ended, Malformed, Unavailable
from collator.messages import Counts
from collator.packet import PacketLimits
from collator.rules.closure import supersedes
from collator.rules.footprint import of_resource
from collator.rules.repair import (
    MAX_SUPERSEDED,
    CompletionPlan,
    cancels,
    check_limits,
    check_purge,
    check_reopening,
    check_total,
    plan_completion,
    reopen,
    retries,
    withdraw,
)
from collator.rules.resource import Ending, LedgerLimits, Snapshot
from collator.states import EndedBy, IllegalStepError, OnFailure, State

WHOLE, EARLY = State.COLLATED, State.INCOMPLETE
OPEN = {"received": 3, "highest": 2, "done": 3}
ENDED = {"state": State.INCOMPLETE, "received": 1, "highest": 0}


def snapshot(**known: Any) -> Snapshot:  # noqa: ANN401
    return Snapshot(resource_id="r", generation=bytes(16), **known)


def complete(one: Snapshot, total: int | None, *, force: bool = False) -> CompletionPlan:
    return plan_completion(one, total, force=force, on_failure=OnFailure.INCOMPLETE)


@pytest.mark.parametrize(
    ("known", "total", "force", "fixes", "ending"),
    [
        (OPEN, 3, False, True, Ending(WHOLE, EndedBy.TOTAL)),
        (OPEN, 3, True, True, Ending(WHOLE, EndedBy.TOTAL)),
        (OPEN, 5, False, True, None),
        (OPEN, 5, True, True, Ending(EARLY, EndedBy.FORCED)),
        (OPEN, None, True, False, Ending(WHOLE, EndedBy.FORCED)),
        (OPEN, None, False, False, None),
        (OPEN | {"total": 5}, 5, False, False, None),
        (OPEN | {"highest": 7}, None, True, False, Ending(EARLY, EndedBy.FORCED)),
        ({}, 0, False, True, Ending(WHOLE, EndedBy.TOTAL)),
        (ENDED | {"total": 4}, 4, True, False, None),
        (ENDED | {"total": 4}, None, True, False, None),
        (ENDED, None, True, False, None),
    ],
)
def test_r15_a_completion_fixes_the_total_and_ends_what_is_finished_then(
    known: dict[str, Any], total: int | None, force: bool, fixes: bool, ending: Ending | None
) -> None:
    one = snapshot(**known)
    assert complete(one, total, force=force) == CompletionPlan(fixes, ending)
    assert one.total == (total if fixes else known.get("total"))


@pytest.mark.parametrize(
    ("known", "total", "words"),
    [
        (OPEN, 2, "contradicts the stored index 2"),
        (OPEN | {"total": 5}, 4, "contradicts the known total 5"),
        (ENDED, 1, "without a total"),
        (ENDED | {"total": 5}, 4, "contradicts the known total 5"),
    ],
)
def test_r15_a_contradiction_changes_nothing(known: dict[str, Any], total: int, words: str) -> None:
    one = snapshot(**known)
    with pytest.raises(Conflict, match=words):
        complete(one, total, force=True)
    assert one == snapshot(**known)


def test_r15_a_total_has_the_bounds_of_a_resource() -> None:
    limits = PacketLimits(max_packets=10)
    for total in (None, 0, 10):
        check_total(total, limits)
    for total in (-1, 11):
        with pytest.raises(Malformed, match=f"{total} is not between 0 and 10"):
            check_total(total, limits)


def test_only_an_open_resource_is_cancelled_and_a_repeat_is_harmless() -> None:
    assert cancels(snapshot())
    assert not cancels(snapshot(state=State.CANCELLED))
    for state in (WHOLE, EARLY):
        with pytest.raises(Ended, match="cannot be cancelled"):
            cancels(snapshot(state=state))


def test_r16_failures_of_an_open_resource_are_retried() -> None:
    assert retries(snapshot(failed=1))
    assert not retries(snapshot())
    for state in (WHOLE, EARLY, State.CANCELLED):
        with pytest.raises(Ended, match="during the retry"):
            retries(snapshot(state=state, failed=1))


@pytest.mark.parametrize(
    ("known", "superseded", "words"),
    [
        ({"state": WHOLE, "received": 2, "done": 2}, 0, "nothing to retry"),
        ({"state": EARLY, "received": 2, "done": 2, "total": 5}, 0, "nothing to retry"),
        ({"state": State.CANCELLED, "received": 2, "failed": 1}, 0, "was cancelled"),
        ({"state": EARLY, "received": 2, "failed": 1}, MAX_SUPERSEDED, "after 100 retries"),
    ],
)
def test_r16_what_a_retry_cannot_mend_is_told_in_words(known: dict[str, Any], superseded: int, words: str) -> None:
    one = snapshot(**known)
    with pytest.raises(Ended, match=words):
        check_reopening(one, superseded=superseded)
    assert one == snapshot(**known)


@pytest.mark.parametrize("known", [{"failed": 1}, {"done": 1}, {"done": 1, "failed": 1}])
def test_r16_what_ended_with_packets_without_an_output_goes_on_as_a_new_generation(known: dict[str, Any]) -> None:
    one = snapshot(state=EARLY, received=2, highest=1, total=2, body_size=3, seen=[(0, 1)], **known)
    check_reopening(one, superseded=MAX_SUPERSEDED - 1)
    before = one.seq
    assert reopen(one, b"g" * 16, withdrawn=4) == 2 - known.get("done", 0)
    assert (one.state, one.generation, one.failed, one.seen) == (State.OPEN, b"g" * 16, 0, ())
    assert (one.total, one.highest, one.done, one.body_size) == (2, 1, known.get("done", 0), 3)
    assert one.seq == before + 4 + 1
    assert supersedes(one)
    assert not supersedes(snapshot())


@pytest.mark.parametrize("state", [WHOLE, State.CANCELLED, State.OPEN])
def test_r12_only_what_ended_early_is_opened_again(state: State) -> None:
    with pytest.raises(IllegalStepError):
        reopen(snapshot(state=state, received=1, failed=1), bytes(16), withdrawn=0)


def test_r9_what_is_opened_again_has_to_fit_as_a_new_one_has() -> None:
    one, size = snapshot(metadata=b"{}"), 500
    growth = of_resource("r", b"{}")
    limits = LedgerLimits(max_open=2, max_backlog=1000 + size + growth)
    assert check_limits(one, size, counts=Counts(open=1, backlog=1000), limits=limits) == growth
    with pytest.raises(Unavailable, match=r"2 open resources .*max_open"):
        check_limits(one, size, counts=Counts(open=2), limits=limits)
    with pytest.raises(Unavailable, match=r"1001 bytes .*max_backlog"):
        check_limits(one, size, counts=Counts(open=1, backlog=1001), limits=limits)


def test_r26_withdrawn_numbers_are_not_given_again() -> None:
    one = snapshot(done=2, failed=3)
    withdraw(one, 2)
    assert (one.failed, one.seq) == (1, 5)


def test_r25_a_person_purges_what_has_ended_and_is_due_to_nobody() -> None:
    check_purge(snapshot(state=WHOLE), due=0)
    with pytest.raises(Conflict, match="cancel it first"):
        check_purge(snapshot(), due=0)
    with pytest.raises(Conflict, match="give it up first"):
        check_purge(snapshot(state=WHOLE), due=1)
