"""Leases in memory: what is counted is what is held, whatever is undone."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from collator.ledgers.sqlite.leases import Held, LeaseTable


def counted(leases: LeaseTable) -> tuple[dict[int, int], int]:
    """What is held, key by number, and how many bytes that is."""
    held = {number: one for number in leases.numbers() if (one := leases.get(number)) is not None}
    return {number: one.key for number, one in held.items()}, sum(one.size for one in held.values())


def change(random: Random, leases: LeaseTable) -> None:
    """One of the ways in which leases begin and end."""
    numbers = leases.numbers()
    some = random.sample(numbers, min(len(numbers), random.randint(0, 3)))
    ways: list[Callable[[], object]] = [
        lambda: leases.grant(Held(random.randrange(10**9), random.random() * 100, random.randint(0, 50))),
        lambda: [leases.drop(number) for number in some],
        lambda: leases.drop_all([*some, 17]),
        lambda: [leases.drop_key(one.key) for number in some if (one := leases.get(number)) is not None],
        lambda: leases.drop(17),
        lambda: leases.grant_all([Held(random.randrange(10**9), 50.0, size) for size in range(random.randint(1, 4))]),
    ]
    random.choice(ways)()


@pytest.mark.parametrize("seed", range(20))
def test_a_transaction_that_fails_has_changed_nothing(seed: int) -> None:
    random, leases = Random(seed), LeaseTable(seed % 2)
    for _ in range(50):
        leases.begin()
        before = counted(leases)
        for _ in range(random.randint(0, 6)):
            change(random, leases)
        assert leases.size == counted(leases)[1]
        if random.random() < 0.5:
            leases.rollback()
            assert counted(leases) == before
            assert leases.size == before[1]


def test_what_ends_first_is_found_whenever_it_was_granted() -> None:
    leases = LeaseTable(0)
    first, later = leases.grant(Held(1, 10.0)), leases.grant(Held(2, 20.0))
    assert leases.expired(9.9) == []
    assert leases.expired(10.0) == [first]
    leases.drop(first)
    assert leases.expired(19.9) == []
    assert leases.expired(20.0) == [later]
