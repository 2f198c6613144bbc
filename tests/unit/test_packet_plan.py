"""The packets that `send` makes: repeatable, whole, and in no order."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from collator.cli.packet_plan import Plan

plans = st.builds(
    Plan,
    seed=st.integers(),
    resources=st.integers(1, 20),
    packets=st.tuples(st.integers(1, 5), st.integers(5, 20)),
    pause=st.tuples(st.floats(0, 1), st.floats(1, 2)),
    at_once=st.integers(1, 30),
)


def packets(plan: Plan) -> list[dict[str, Any]]:
    return [step.packet for step in plan.steps()]


@given(plans)
def test_every_packet_of_every_resource_is_made_once_and_the_highest_is_the_last(plan: Plan) -> None:
    made = packets(plan)
    sizes = plan.sizes()
    assert Counter((p["resource_id"], p["index"]) for p in made) == Counter(
        (name, index) for name, size in sizes.items() for index in range(size)
    )
    assert {p["resource_id"]: p["index"] + 1 for p in made if p.get("last")} == sizes
    assert all(plan.packets[0] <= size <= plan.packets[1] for size in sizes.values())


@given(plans)
def test_the_same_numbers_give_the_same_run(plan: Plan) -> None:
    assert list(plan.steps()) == list(plan.steps())
    assert all(plan.pause[0] <= step.pause <= plan.pause[1] for step in plan.steps())


@given(plans, st.integers(1, 30), st.floats(0, 1))
def test_order_and_pauses_change_no_packet(plan: Plan, at_once: int, pause: float) -> None:
    other = Plan(plan.seed, plan.resources, plan.packets, (pause, pause), at_once)
    assert sorted(map(repr, packets(plan))) == sorted(map(repr, packets(other)))


@given(plans)
def test_no_more_resources_are_under_way_than_wanted(plan: Plan) -> None:
    left = dict(plan.sizes())
    begun = set[str]()
    for packet in packets(plan):
        begun.add(packet["resource_id"])
        assert len(begun) <= plan.at_once
        left[packet["resource_id"]] -= 1
        if not left[packet["resource_id"]]:
            begun.remove(packet["resource_id"])


def test_seeds_give_different_runs_in_different_orders() -> None:
    assert packets(Plan(1, 3)) != packets(Plan(2, 3))
    assert [p["index"] for p in packets(Plan(1, 1, (50, 50)))] != list(range(50))
