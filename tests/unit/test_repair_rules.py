"""What people may wish for a resource, with no store in sight (R15, R16)."""

from __future__ import annotations

from typing import Any

import pytest

from collator.errors import Conflict, Ended, Malformed
from collator.packet import PacketLimits
from collator.rules.repair import CompletionPlan, cancels, check_purge, check_total, plan_completion, retries, withdraw
from collator.rules.resource import Ending, Snapshot
from collator.states import EndedBy, OnFailure, State

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
        with pytest.raises(Ended, match="cannot be retried"):
            retries(snapshot(state=state, failed=1))


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
