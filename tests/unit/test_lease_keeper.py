"""What is renewed: leases on what was here at the last look and still is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from collator.messages import Lease
from collator.workers.leases import LeaseKeeper
from collator.workers.task_buffer import TaskBuffer
from tests.wait import until

A, B = Lease(1, 1), Lease(2, 2)


class Renewals:
    """A ledger that renews whatever it is asked to."""

    def __init__(self) -> None:
        self.asked: list[Sequence[Lease]] = []

    async def renew(self, leases: Sequence[Lease]) -> Sequence[bool]:
        self.asked.append(leases)
        return [True] * len(leases)


async def test_p5_of_what_was_here_before_the_last_look_nothing_is_kept() -> None:
    ledger, looks = Renewals(), [[A, B], [B], [A, B], [A], []]
    left = iter(looks)
    keeper = LeaseKeeper(ledger, TaskBuffer(), held=lambda: next(left, ()), lease=0.003)  # type: ignore[arg-type]
    run = asyncio.create_task(keeper.run())
    await until(lambda: len(ledger.asked) == 3)
    run.cancel()
    await asyncio.wait({run})
    assert ledger.asked == [[B], [B], [A]]
