"""What attempts and people do to deliveries, with no store in sight (R22 to R25)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from collator.errors import Ended
from collator.messages import Attempt, Delivery, Lease
from collator.rules.deliveries import (
    AttemptPlan,
    DeliveryCounts,
    FoundDelivery,
    StoredDelivery,
    gives_up,
    plan_attempts,
    plan_replay,
    purge_at,
)
from collator.rules.resource import LedgerLimits
from collator.states import DeliveryState, IllegalStepError

DUE, DELIVERED, DEAD = DeliveryState.DUE, DeliveryState.DELIVERED, DeliveryState.DEAD
NOW, WALL = 100.0, 1000.0
SENT = Delivery("r", bytes(16), "default", 1, 0, lease=Lease(7, 7), body=None)


def stored(**known: Any) -> StoredDelivery:  # noqa: ANN401
    fresh: dict[str, Any] = {
        "key": 1,
        "resource_key": 5,
        "state": DUE,
        "attempts": 0,
        "step": 0,
        "due_at": 0.0,
        "reason": "",
        "note": None,
        "tried_at": None,
        "seconds": None,
        "result": None,
    }
    return StoredDelivery(**fresh | known)


def plan(*ended: tuple[Attempt, StoredDelivery | None, bool]) -> AttemptPlan:
    return plan_attempts(ended, now=NOW, wall=WALL)


attempts = st.builds(
    Attempt,
    st.just(SENT),
    st.sampled_from([DUE, DUE, DELIVERED, DEAD]),
    st.sampled_from(["HTTP 503", "HTTP 200"]),
    st.floats(0, 60),
    counted=st.booleans(),
    seconds=st.floats(0, 9),
)
batches = st.lists(st.tuples(attempts, st.booleans()), max_size=8)


@given(batches)
def test_r24_a_2xx_always_wins_and_a_stale_failure_never(drawn: list[tuple[Attempt, bool]]) -> None:
    delivery = stored()
    whole = plan(*[(attempt, delivery, held) for attempt, held in drawn])
    over = False
    for (attempt, held), changed in zip(drawn, whole.changed, strict=True):
        success = attempt.state is DELIVERED
        assert changed or over or not success
        assert not changed or (not over and (held or success))
        over |= success
    assert (delivery.state is DELIVERED) == over


@given(batches, st.sampled_from([DUE, DELIVERED, DEAD]))
def test_attempts_are_decided_together_as_one_by_one(drawn: list[tuple[Attempt, bool]], state: DeliveryState) -> None:
    together, single = stored(state=state), stored(state=state)
    whole = plan(*[(attempt, together, held) for attempt, held in drawn])
    parts = [plan((attempt, single, held)) for attempt, held in drawn]
    assert together == single
    assert whole.changed == [part.changed[0] for part in parts]
    assert whole.log == [row for part in parts for row in part.log]
    assert whole.moves.due == sum(part.moves.due for part in parts) == (together.state is DUE) - (state is DUE)
    assert whole.moves.dead == sum(part.moves.dead for part in parts) == (together.state is DEAD) - (state is DEAD)


@given(batches)
def test_r24_every_counted_attempt_is_in_the_history_once(drawn: list[tuple[Attempt, bool]]) -> None:
    delivery = stored(attempts=3, step=1)
    whole = plan(*[(attempt, delivery, held) for attempt, held in drawn])
    pairs = zip(drawn, whole.changed, strict=True)
    counted = sum(changed and attempt.counted for (attempt, _), changed in pairs)
    assert (delivery.attempts, delivery.step) == (3 + counted, 1 + counted)
    assert [number for _, number, *_ in whole.log] == [*range(4, 3 + counted)]


def test_r23_an_attempt_that_is_not_counted_leaves_a_note_and_moves_no_step() -> None:
    delivery = stored(reason="HTTP 500", attempts=2, step=2, tried_at=9.0)
    whole = plan((Attempt(SENT, DUE, "HTTP 429", delay=30.0, counted=False), delivery, True))
    assert delivery == stored(reason="HTTP 500", attempts=2, step=2, tried_at=9.0, note="HTTP 429", due_at=NOW + 30.0)
    assert whole == AttemptPlan(changed=[True], touched={1: delivery})


def test_r23_a_failure_is_due_again_after_its_delay_and_the_attempt_before_moves_to_the_log() -> None:
    delivery = stored(attempts=1, step=1, reason="refused", tried_at=50.0, seconds=1.0, result="failed")
    whole = plan((Attempt(SENT, DUE, "HTTP 500", delay=5.0, seconds=2.0, excerpt="no"), delivery, True))
    assert whole.log == [(1, 1, 50.0, 1.0, "failed", "refused")]
    assert delivery == stored(
        attempts=2,
        step=2,
        reason="HTTP 500: no",
        due_at=NOW + 5.0,
        tried_at=WALL - 2.0,
        seconds=2.0,
        result="failed",
    )


def test_r24_a_late_success_of_a_dead_delivery_ends_the_lease_of_whoever_tries_again() -> None:
    delivery = stored(state=DEAD)
    whole = plan((Attempt(SENT, DELIVERED), delivery, False), (Attempt(SENT, DELIVERED), None, False))
    assert (whole.changed, whole.overtaken, whole.moves) == ([True, False], [1], DeliveryCounts(dead=-1))


def test_r23_a_receiver_that_wants_no_more_has_its_endpoint_paused_if_it_may_still_say_so() -> None:
    gone = Attempt(SENT, DUE, "HTTP 410", pauses=True)
    assert plan((gone, stored(), True), (replace(gone, reason="again"), stored(key=2), True)).paused == {
        "default": "HTTP 410"
    }
    assert plan((gone, stored(), False)).paused == {}


def test_a_step_that_is_not_in_the_table_raises() -> None:
    with pytest.raises(IllegalStepError):
        plan((Attempt(SENT, DeliveryState.LEASED), stored(), True))


FOUND = [FoundDelivery(key, key // 2, str(state), state) for key, state in enumerate([DUE, DELIVERED, DEAD, DEAD])]


@pytest.mark.parametrize(
    ("state", "due", "moves", "endpoints"),
    [
        (None, [1, 2, 3], DeliveryCounts(due=3, dead=-2), {"due", "delivered", "dead"}),
        (DEAD, [2, 3], DeliveryCounts(due=2, dead=-2), {"due", "dead"}),
        (DELIVERED, [1], DeliveryCounts(due=1), {"due", "delivered"}),
    ],
)
def test_r24_a_replay_makes_due_again_what_has_ended(
    state: DeliveryState | None, due: list[int], moves: DeliveryCounts, endpoints: set[str]
) -> None:
    replay = plan_replay(FOUND, state)
    assert (replay.due, replay.moves, replay.endpoints) == (due, moves, endpoints)
    assert replay.resource_keys == {key // 2 for key in due}


def test_r24_only_what_is_due_is_given_up() -> None:
    due, delivered, dead, _ = FOUND
    assert gives_up(due)
    assert not gives_up(dead)
    with pytest.raises(Ended, match="cannot be given up"):
        gives_up(delivered)


@pytest.mark.parametrize(
    ("due", "dead", "dead_retention", "expected"),
    [
        (0, 0, None, NOW + 7.0),
        (1, 0, None, None),
        (1, 1, 3.0, None),
        (0, 1, None, None),
        (0, 2, 3.0, NOW + 3.0),
    ],
)
def test_r25_retention_runs_from_the_end_of_the_last_delivery(
    due: int, dead: int, dead_retention: float | None, expected: float | None
) -> None:
    limits = LedgerLimits(retention=7.0, dead_retention=dead_retention)
    assert purge_at(due=due, dead=dead, limits=limits, now=NOW) == expected
