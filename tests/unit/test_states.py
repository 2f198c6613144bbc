"""The tables of states: every step that is in them passes, every other raises, and the pictures come from them."""

from __future__ import annotations

import pytest

from collator.states import (
    DELIVERY_STEPS,
    PACKET_STEPS,
    RESOURCE_STEPS,
    DeliveryState,
    IllegalStepError,
    PacketState,
    State,
    StepTable,
    check_step,
    diagram,
)

# The picture in the design, written down a second time.
STEPS = {
    "resource": (
        RESOURCE_STEPS,
        State,
        {"open > collated", "open > incomplete", "open > cancelled", "incomplete > open"},
    ),
    "packet": (
        PACKET_STEPS,
        PacketState,
        {"waiting > leased", "leased > done", "leased > failed", "leased > waiting", "failed > waiting"},
    ),
    "delivery": (
        DELIVERY_STEPS,
        DeliveryState,
        {
            "due > leased",
            "due > dead",
            "leased > delivered",
            "leased > due",
            "leased > dead",
            "delivered > due",
            "dead > due",
            "dead > delivered",
        },
    ),
}
tables = pytest.mark.parametrize(("table", "states", "steps"), STEPS.values(), ids=STEPS)

States = type[State] | type[PacketState] | type[DeliveryState]


@tables
def test_the_steps_of_the_table_pass_and_all_others_raise(table: StepTable, states: States, steps: set[str]) -> None:
    passed = set()
    for old in states:
        for new in states:
            try:
                check_step(table, old, new)
            except IllegalStepError:
                continue
            passed.add(f"{old} > {new}")
    assert passed == steps


@tables
def test_every_state_has_its_place_in_its_table(table: StepTable, states: States, steps: set[str]) -> None:
    assert {*table} == {*states}


def test_an_illegal_step_says_what_was_tried_and_what_there_is() -> None:
    with pytest.raises(IllegalStepError, match=r"PacketState: waiting -> done .*leased"):
        check_step(PACKET_STEPS, PacketState.WAITING, PacketState.DONE)


@tables
def test_the_diagram_shows_every_step_with_its_reason(table: StepTable, states: States, steps: set[str]) -> None:
    lines = {line.split()[0]: line for line in diagram(table).splitlines()}
    assert {*lines} == {*states}
    for old, following in table.items():
        for new, reason in following.items():
            assert f"{new} ({reason})" in lines[old]
        assert ("(end)" in lines[old]) is (not following)
