"""A backlog of deliveries and fresh ones take turns: neither waits for the end of the other (P5)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from collator.messages import LARGE_BODY, Delivery
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Ledger
from tests.conformance.steps import delivered, finish
from tests.conformance.store import Store

pytestmark = pytest.mark.one_holder

TERMS = LedgerLimits(delivery_lease=100_000.0)
SIZES = {"small": (b"0",), "large": (b'"' + b"x" * (LARGE_BODY // 2) + b'"',) * 2}


async def backlog(store: Store, ledger: Ledger, count: int, outputs: Sequence[bytes] = (b"0",)) -> list[str]:
    """Let *count* resources end, a second after one another: their ids."""
    names = [f"old-{number:04d}" for number in range(count)]
    for name in names:
        await finish(ledger, name, outputs)
        store.clock.advance(1.0)
    return names


def ids(deliveries: Sequence[Delivery]) -> list[str]:
    return [delivery.resource_id for delivery in deliveries]


@pytest.mark.one_ledger("each ledger hands out its own oldest and freshest")
@pytest.mark.parametrize("size", SIZES)
async def test_p5_one_that_is_fresh_does_not_go_behind_a_backlog(store: Store, size: str) -> None:
    ledger = await store.open(TERMS)
    await backlog(store, ledger, 7, SIZES[size])
    await finish(ledger, "fresh", SIZES[size])
    got = [ids(await ledger.claim_deliveries("default", capacity=1, large=size == "large")) for _ in range(8)]
    assert ["fresh"] in got[:2]
    assert [name for (name,) in got][0::2] == [f"old-{number:04d}" for number in range(4)]
    assert sorted(name for (name,) in got) == sorted([*(f"old-{number:04d}" for number in range(7)), "fresh"])


@pytest.mark.one_ledger("each ledger hands out its own oldest and freshest")
@pytest.mark.parametrize("capacity", [1, 2, 3, 4, 5, 7, 10, 64])
async def test_p5_half_of_what_is_claimed_is_longest_due_and_half_became_due_last(store: Store, capacity: int) -> None:
    ledger = await store.open(TERMS)
    names = await backlog(store, ledger, 80)
    claimed: list[str] = []
    while len(claimed) + capacity <= 70:
        claimed += ids(await ledger.claim_deliveries("default", capacity=capacity))
    oldest = len([name for name in claimed if name in names[: len(claimed)][: (len(claimed) + 1) // 2 + 1]])
    assert len(claimed) == len({*claimed})
    assert abs(2 * oldest - len(claimed)) <= 2
    assert {*claimed} <= {*names[: len(claimed) // 2 + 1], *names[-(len(claimed) // 2 + 1) :]}


@pytest.mark.one_ledger("each ledger hands out its own oldest and freshest")
async def test_p5_a_backlog_ends_in_its_order_however_many_fresh_ones_come(store: Store) -> None:
    ledger = await store.open(TERMS)
    names = await backlog(store, ledger, 12)
    old: list[str] = []
    for number in range(12):
        for more in range(3):  # more than half of what can be sent
            await finish(ledger, f"fresh-{number}-{more}")
            store.clock.advance(0.1)
        claimed = await ledger.claim_deliveries("default", capacity=2)
        await ledger.record_attempts([delivered(delivery) for delivery in claimed])
        assert ids(claimed)[1].startswith(f"fresh-{number}-")
        old += ids(claimed)[:1]
    assert old == names


@pytest.mark.parametrize("capacity", [4, 5, 100])
async def test_what_fits_is_claimed_as_a_whole_the_longest_due_first(store: Store, capacity: int) -> None:
    ledger = await store.open(TERMS)
    names = await backlog(store, ledger, 4)
    assert ids(await ledger.claim_deliveries("default", capacity=capacity))[:1] == names[:1]
    assert await ledger.claim_deliveries("default", capacity=capacity) == []


@pytest.mark.one_ledger("ledgers have turns, whichever endpoint asks")
async def test_p5_endpoints_have_turns_of_their_own(store: Store) -> None:
    ledger = await store.open(TERMS, route=lambda _: ["a", "b"])
    names = await backlog(store, ledger, 6)
    for _ in range(2):
        one, other = [ids(await ledger.claim_deliveries(name, capacity=1)) for name in ("a", "b")]
        assert one == other
    assert [ids(await ledger.claim_deliveries(name, capacity=1)) for name in ("a", "b")] == [[names[1]]] * 2
