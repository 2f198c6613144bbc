"""What the audit log has of acts that take several steps, or are refused (P6). Routes: `tests/http/test_audit.py`."""

from __future__ import annotations

import pytest

from collator.errors import Ended
from collator.messages import Act, Failure, ResourceFilter
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Ledger
from collator.states import OnFailure, State
from tests.conformance.steps import claim, fail, packets, purge, record, retry_all, send
from tests.conformance.store import Store


def act(verb: str = "retry") -> Act:
    return Act(who="somebody", peer="", verb=verb, target="r")


async def changed(ledger: Ledger) -> list[tuple[str, int]]:
    return [(one.verb, one.changed) for one in (await ledger.audit()).records]


async def test_p6_the_retry_of_what_has_ended_is_one_record(ledger: Ledger) -> None:
    await send(ledger, *packets(3))
    await fail(ledger)
    with ledger.audited(act()):
        assert await ledger.retry("r") == 3
    assert await changed(ledger) == [("retry", 3)]


async def test_p6_the_retry_of_what_is_open_is_one_record(store: Store) -> None:
    ledger = await store.open(LedgerLimits(on_failure=OnFailure.HOLD))
    await send(ledger, *packets(300))
    await record(ledger, *(Failure(task.lease, "no") for task in await claim(ledger, 300)))
    with ledger.audited(act()):
        assert await retry_all(ledger, ResourceFilter(state=State.OPEN)) == 300
    assert await changed(ledger) == [("retry", 300)]


async def test_p6_a_retry_that_is_refused_is_no_act(ledger: Ledger) -> None:
    await send(ledger, *packets(1))
    await ledger.cancel("r")
    for _ in range(2):
        with ledger.audited(act()), pytest.raises(Ended):
            await ledger.retry("r")
    assert await changed(ledger) == []


async def test_p6_what_time_removes_nobody_does(store: Store) -> None:
    ledger = await store.open(LedgerLimits(retention=10.0))
    for resource_id in ("r", "old"):
        await send(ledger, *packets(1, resource_id))
        await ledger.cancel(resource_id)
    with ledger.audited(act("purge")):
        await ledger.purge(limit=100, resource_id="r")
    store.clock.advance(11)
    await purge(ledger)
    assert await changed(ledger) == [("purge", 1)]
