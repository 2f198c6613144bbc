"""The time of a step: all that is decided and stored in one commit has the same, read behind the lock."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import apsw

from collator.ledgers.sqlite import open_ledger
from collator.ledgers.sqlite.store import DATABASE
from collator.messages import Batch
from collator.rules.resource import LedgerLimits
from collator.testing import ManualClock
from tests.conformance.steps import again, delivered, due, fail, offer, packet, packets, process


class CountingClock(ManualClock):
    """A clock that counts how often it is read."""

    wall_reads = monotonic_reads = 0

    def wall(self) -> float:
        self.wall_reads += 1
        return super().wall()

    def monotonic(self) -> float:
        self.monotonic_reads += 1
        return super().monotonic()


async def test_a_commit_reads_the_clock_once_whatever_it_does(tmp_path: Path) -> None:
    clock = CountingClock()
    limits = LedgerLimits(idle_timeout=60.0, deadline=600.0, remember=60.0)
    ledger = await open_ledger(tmp_path, ledger_limits=limits, clock=clock, route=lambda _: ["default", "other"])
    reads: list[tuple[int, int]] = []

    def count(_seconds: float, _items: int) -> None:
        reads.append((clock.wall_reads, clock.monotonic_reads))
        clock.wall_reads = clock.monotonic_reads = 0

    clock.wall_reads = clock.monotonic_reads = 0
    ledger.watch(count)
    await offer(ledger, *packets(3), packet("open"), packet("open", metadata=b"{}"))
    await process(ledger)
    first, *rest = await due(ledger)
    await ledger.record_attempts([again(first), *map(delivered, rest)])
    await offer(ledger, *packets(2, "failed"))
    await fail(ledger)
    await ledger.complete("empty", total=0, capacity={"default": 5})
    await ledger.pause("other", reason="enough")
    clock.advance(61.0)
    assert (await ledger.expire(accepting=True, limit=10, capacity={"default": 5})).closed == 1
    await offer(ledger, packet("cancelled"))
    assert await ledger.cancel("cancelled")
    clock.advance(100_000.0)
    await ledger.work_due()
    await ledger.purge(limit=100)
    await ledger.aclose()
    assert len(reads) >= 14
    assert {*reads} == {(1, 1)}


async def test_a_step_that_waited_for_the_lock_has_the_time_at_which_it_got_it(tmp_path: Path) -> None:
    """Else a lease that it hands out may have ended already."""
    clock, limits = ManualClock(), LedgerLimits()
    ledger = await open_ledger(tmp_path, ledger_limits=limits, clock=clock, route=lambda _: ["default"])
    with closing(apsw.Connection(str(tmp_path / DATABASE))) as outsider:

        def wait(_times: int) -> bool:
            clock.advance(limits.task_lease + 1)
            outsider.execute("rollback")
            return True

        ledger._store.connection.set_busy_handler(wait)
        outsider.execute("begin immediate")
        accepted = await ledger.accept(Batch(packets(1)).groups, capacity=1)
    assert accepted.runs
    assert not await ledger.claim(capacity=1)
    await ledger.aclose()
