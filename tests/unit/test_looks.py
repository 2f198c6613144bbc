"""The thread that looks at the store: in order, for who still waits, and no longer than it is open."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import apsw
import pytest
from anyio.lowlevel import checkpoint

from collator.errors import Damaged, Unavailable
from collator.ledgers.sqlite.looks import Looks


@pytest.fixture
def looks() -> Iterator[Looks]:
    looks = Looks(apsw.Connection(":memory:"))
    yield looks
    looks.close()


async def test_looks_have_the_thread_in_the_order_in_which_they_were_asked(looks: Looks) -> None:
    order = list[int]()
    await asyncio.gather(*(looks.ask(order.append, number) for number in range(20)))
    assert order == [*range(20)]


async def test_what_nobody_waits_for_any_more_is_not_looked_for(looks: Looks) -> None:
    begun, go_on, seen = threading.Event(), threading.Event(), list[str]()

    def wait() -> None:
        begun.set()
        go_on.wait()

    first = asyncio.create_task(looks.ask(wait))
    await asyncio.to_thread(begun.wait)
    gone, there = (asyncio.create_task(looks.ask(seen.append, name)) for name in ("gone", "there"))
    await checkpoint()
    gone.cancel()
    await asyncio.wait([gone])
    first.cancel()  # its look goes on
    go_on.set()
    await there
    assert seen == ["there"]


async def test_what_was_asked_before_the_end_is_answered_and_what_comes_later_refused(looks: Looks) -> None:
    asked = [asyncio.create_task(looks.ask(str, number)) for number in range(5)]
    await checkpoint()
    await asyncio.to_thread(looks.close)
    assert await asyncio.gather(*asked) == ["0", "1", "2", "3", "4"]
    with pytest.raises(Unavailable, match="the store is closed"):
        await looks.ask(str, 5)


@pytest.mark.parametrize(
    ("met", "told"), [(apsw.CorruptError("x"), Damaged), (ValueError("x"), Damaged), (apsw.BusyError("x"), Unavailable)]
)
async def test_errors_of_the_store_are_those_of_the_ledger(looks: Looks, met: Exception, told: type[Exception]) -> None:
    def fail() -> None:
        raise met

    with pytest.raises(told):
        await looks.ask(fail)
    assert await looks.ask(str, 1) == "1"
