"""Whatever came before a move, and wherever it was cut off, all ends as it would have without it."""

from __future__ import annotations

from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.move.move_machine import MoveMachine
from tests.requirements import need
from tests.servers import postgresql


def test_a_move_changes_nothing_but_the_place() -> None:
    missing = postgresql.missing()
    need(missing is None, str(missing))
    run_state_machine_as_test(
        MoveMachine, settings=settings(max_examples=5, stateful_step_count=20, phases=[Phase.explicit, Phase.generate])
    )
