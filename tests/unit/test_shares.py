"""Shares of what is scarce, and which connection gives way."""

from __future__ import annotations

import pytest

from collator.shares import Shared
from collator.web.connections import KEPT, Admission, Connections
from collator.web.load import who_asks


def filled(most: int, *callers: str, multiple: int = 8) -> tuple[Shared, dict[str, int]]:
    """What *callers* hold who take all they may, by turns."""
    shared = Shared(most, "places", setting="max_places", multiple=multiple)
    took = True
    while took:
        took = False
        for who in callers:
            if not shared.why_not(who):
                shared.take(who)
                took = True
    return shared, {who: shared.held(who) for who in callers}


@pytest.mark.parametrize("most", [1, 2, 8])
def test_of_few_places_one_who_is_alone_may_hold_all(most: int) -> None:
    shared, held = filled(most, "a")
    assert held == {"a": most}
    assert shared.why_not("a") == f"places: the limit of {most} is reached (max_places)"


@pytest.mark.parametrize("most", [9, 50, 100, 900, 10_000])
def test_of_many_places_one_who_is_alone_may_hold_eight_ninths(most: int) -> None:
    _, held = filled(most, "a")
    assert most * 8 // 9 <= held["a"] <= most * 8 // 9 + 1


@pytest.mark.parametrize("greedy", [1, 2, 5, 20])
def test_something_is_free_for_who_comes_next_however_many_are_greedy(greedy: int) -> None:
    callers = [f"greedy {number}" for number in range(greedy)]
    shared, held = filled(900, *callers)
    assert max(held.values()) - min(held.values()) <= 1
    assert not shared.why_not("late")
    assert shared.why_not(callers[0]).startswith(
        f"places: 'greedy 0' has used its share, {held[callers[0]]} of 900 (max_"
    )


def test_what_is_held_is_not_taken_away_and_who_holds_too_much_takes_no_more() -> None:
    shared, held = filled(90, "first")
    assert held == {"first": 80}
    while not shared.why_not("second"):
        shared.take("second")
    assert shared.held("second") >= 8
    while shared.why_not("first"):
        shared.give("first")
    assert not shared.why_not("second")
    assert shared.used < 90


def test_who_holds_nothing_is_not_remembered() -> None:
    shared = Shared(10, "places", setting="max_places")
    for number in range(1000):
        shared.take(str(number), 3)
        shared.give(str(number), 1)
        shared.give(str(number), 2)
    assert (shared.used, shared._held) == (0, {})


@pytest.mark.parametrize(
    ("client", "who"),
    [
        (None, ""),
        (("192.0.2.1", 5), "192.0.2.1"),
        (("::ffff:192.0.2.1", 5), "192.0.2.1"),
        (("2001:db8:1:2:3:4:5:6", 5), "2001:db8:1:2::/64"),
        (("2001:db8:1:2::9", 5), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 5), "fe80::/64"),
        (("no address", 5), "no address"),
        (("no:address", 5), "no:address"),
    ],
)
def test_a_caller_without_a_token_is_an_address_or_a_network(client: tuple[str, int] | None, who: str) -> None:
    assert who_asks(None, client) == who


class One:
    """A connection."""

    def __init__(self, idle: float | None = None) -> None:
        self.idle = idle

    def idle_since(self) -> float | None:
        return self.idle


def used(connections: Connections[One], *idle: float | None) -> list[One]:
    """Connections on which something was asked, idle since then."""
    ones = [One(since) for since in idle]
    for one in ones:
        assert connections.admit(one) == (Admission.TAKEN, None)
        connections.asked(one)
    for one in sorted((one for one in ones if one.idle is not None), key=lambda one: one.idle or 0.0):
        connections.answered(one)
    return ones


def test_who_opens_many_and_says_nothing_closes_his_own() -> None:
    connections: Connections[One] = Connections(100)
    kept = used(connections, *range(50))
    new = [One() for _ in range(1000)]
    closed = [connections.admit(one)[1] for one in new]
    assert closed == [None] * 50 + new[:950]
    for one in kept:
        connections.left(one)
    assert len(connections) == 50


def test_the_longest_idle_gives_way_where_hardly_any_is_new() -> None:
    connections: Connections[One] = Connections(4)
    ones = used(connections, 3.0, None, 1.0, 2.0)
    new = [One(9.0) for _ in range(4)]
    assert [connections.admit(one) for one in new] == [
        (Admission.TAKEN, ones[2]),
        (Admission.TAKEN, ones[3]),
        (Admission.TAKEN, ones[0]),
        (Admission.TAKEN, new[0]),
    ]


def test_who_asks_again_is_no_longer_idle_and_none_is_looked_at_to_find_the_longest_idle() -> None:
    connections: Connections[One] = Connections(3)
    ones = used(connections, 1.0, 2.0, 3.0)
    for one in ones:
        one.idle_since = lambda: pytest.fail("a thousand such looks are felt by everybody")  # type: ignore[method-assign]
    connections.asked(ones[0])
    assert connections.admit(One()) == (Admission.TAKEN, ones[1])
    connections.answered(ones[0])
    assert [connections.admit(One())[1] for _ in range(2)] == [ones[2], ones[0]]


def test_a_few_are_let_in_where_all_have_a_request() -> None:
    connections: Connections[One] = Connections(2)
    used(connections, None, None)
    kept = [One(5.0) for _ in range(KEPT)]
    assert [connections.admit(one) for one in kept] == [(Admission.KEPT, None)] * KEPT
    next_one = One(None)
    assert connections.admit(next_one) == (Admission.KEPT, kept[0])
    for one in kept:
        one.idle = None
    refused = [One() for _ in range(KEPT)]
    assert [connections.admit(one) for one in refused] == [(Admission.REFUSED, None)] * KEPT
    assert connections.admit(One()) == (Admission.DROPPED, None)
    connections.left(refused[0])
    assert connections.admit(One()) == (Admission.REFUSED, None)
    connections.left(next_one)
    assert connections.admit(One()) == (Admission.KEPT, None)
    assert len(connections) == 2 + KEPT
