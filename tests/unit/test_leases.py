"""Leases in memory: what is counted is what is held, whatever is undone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import pytest
from msgspec import structs

from collator.ledgers.sqlite.leases import DeliveryLeases, EndedLeases, Held, HeldRun, PacketLeases


def counted(leases: PacketLeases) -> tuple[dict[int, tuple[int, int]], int]:
    """What is held, resource and index by number, and how many bytes that is."""
    held = {number: one for number in leases.numbers() if (one := leases.get(number)) is not None}
    packets = {number: (run.resource_row, run.indexes[number - run.token]) for number, run in held.items()}
    return packets, sum(run.sizes[number - run.token] for number, run in held.items())


def run(random: Random, number: int) -> HeldRun:
    """A run of *number* packets."""
    indexes = random.sample(range(1000), number)
    return HeldRun(random.randrange(10), random.random() * 100, indexes, [random.randint(0, 50) for _ in indexes])


def change(random: Random, leases: PacketLeases) -> None:
    """One of the ways in which leases begin and end."""
    numbers = leases.numbers()
    some = random.sample(numbers, min(len(numbers), random.randint(0, 3)))
    ways: list[Callable[[], object]] = [
        lambda: leases.grant(run(random, 1)),
        lambda: leases.grant(run(random, random.randint(1, 5))),
        lambda: leases.end(some),
        lambda: leases.end([*some, 17, *some]),
        lambda: leases.end_spans([(number, random.randint(1, 3)) for number in some]),
        lambda: leases.end_resource(random.randrange(10)),
    ]
    random.choice(ways)()


@pytest.mark.parametrize("seed", range(20))
def test_a_transaction_that_fails_has_changed_nothing(seed: int) -> None:
    random, leases = Random(seed), PacketLeases(seed % 2)
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


@pytest.mark.parametrize("seed", range(5))
def test_each_lease_ends_once_and_where_it_was_named(seed: int) -> None:
    random, leases = Random(seed), PacketLeases(0)
    runs = [run(random, random.randint(1, 5)) for _ in range(9)]
    numbers = [number for one in runs for number in range(leases.grant(one), one.token + len(one.indexes))]
    random.shuffle(numbers)
    asked = [*numbers[:12], 17, *numbers[6:]]
    ended = {
        place: (one, at)
        for one, positions, places in leases.end(asked)
        for at, place in zip(positions, places, strict=True)
    }
    assert {*ended} == {*range(12), *range(19, len(asked))}
    assert all(one.token + at == asked[place] for place, (one, at) in ended.items())
    assert (len(leases), leases.size) == (0, 0)


@pytest.mark.parametrize("seed", range(5))
def test_leases_that_follow_each_other_end_as_one_by_one(seed: int) -> None:
    """Runs are cut anywhere, some leases have ended before, and some spans reach beyond their run."""
    random = Random(seed)
    both = PacketLeases(0), PacketLeases(0)
    both[0]._next = both[1]._next
    for _ in range(9):
        one = run(random, random.randint(1, 9))
        for leases in both:
            leases.grant(structs.replace(one))
    numbers = both[0].numbers()
    lost = random.sample(numbers, 5)
    spans = [(number, random.randint(1, 4)) for number in numbers[:: random.randint(2, 3)]]
    by_number = [both[0].end(lost), both[0].end([first + at for first, count in spans for at in range(count)])]
    by_span = [both[1].end(lost), both[1].end_spans(spans)]
    assert [sorted(packets_of(ended)) for ended in by_span] == [sorted(packets_of(ended)) for ended in by_number]
    assert counted(both[0]) == counted(both[1])


def packets_of(ended: Sequence[EndedLeases]) -> list[tuple[int, int, int]]:
    return [
        (place, one.token, at) for one, positions, places in ended for at, place in zip(positions, places, strict=True)
    ]


def test_a_lease_that_is_renewed_keeps_those_of_its_run() -> None:
    leases = PacketLeases(0)
    first = leases.grant(HeldRun(1, 10.0, [4, 5], [1, 1]))
    other = leases.grant(HeldRun(1, 10.0, [6], [1]))
    leases.end([first])
    assert leases.prolong(first + 1, 30.0)
    assert not leases.prolong(first, 30.0)
    assert leases.expired(20.0) == [other]


def test_what_ends_first_is_found_whenever_it_was_granted() -> None:
    leases = DeliveryLeases(1)
    first, later = leases.grant(Held(1, 10.0)), leases.grant(Held(2, 20.0))
    assert leases.expired(9.9) == []
    assert leases.expired(10.0) == [first]
    leases.drop(first)
    assert leases.expired(19.9) == []
    assert leases.expired(20.0) == [later]


def test_a_delivery_that_was_leased_in_a_transaction_that_fails_is_not() -> None:
    leases = DeliveryLeases(1)
    kept = leases.grant(Held(1, 10.0, endpoint="e"))
    leases.begin()
    leases.drop_key(1)
    leases.grant(Held(2, 10.0, endpoint="e"))
    assert leases.keys("e") == {2}
    leases.rollback()
    assert (leases.keys("e"), leases.numbers()) == ({1}, [kept])
