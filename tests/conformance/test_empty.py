"""A resource without packets ends by a total of 0: collated, empty, with one webhook (R10)."""

from __future__ import annotations

import asyncio

import pytest

from collator.errors import Conflict, Malformed, Unknown
from collator.messages import Counts
from collator.packet import Status
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Ledger
from collator.states import EndedBy, State
from tests.conformance.steps import claim, due, finish, offer, packet, process, send, webhook
from tests.conformance.store import Store


async def test_r10_a_total_of_0_ends_what_nobody_sent_a_packet_for(ledger: Ledger) -> None:
    outcome = await ledger.complete("r", total=0, capacity={"default": 1})
    assert (outcome.closed, len(outcome.deliveries)) == (1, 1)
    report = await ledger.resource("r")
    assert (report.state, report.completed_by, report.total) == (State.COLLATED, EndedBy.TOTAL, 0)
    assert (report.received, report.done, report.missing, report.unfinished) == (0, 0, [], [])
    assert (await ledger.outputs("r")).outcomes == (await ledger.outcomes("r")).outcomes == []
    assert await ledger.counts() == Counts(collated=1, due=1)


async def test_r10_its_webhook_has_no_outputs(ledger: Ledger) -> None:
    await ledger.complete("r", total=0)
    said = await webhook(ledger)
    assert said["type"] == "resource.collated"
    assert said["data"] == {"resource_id": "r", "completed_by": "total", "total": 0, "metadata": {}, "outputs": []}


@pytest.mark.parametrize("restart", [True, False])
async def test_r10_asking_again_changes_nothing(store: Store, *, restart: bool) -> None:
    ledger = await store.open()
    await ledger.complete("r", total=0)
    before = await ledger.resource("r")
    if restart:
        ledger = await store.crash()
    assert (await ledger.complete("r", total=0)).closed == 0
    assert (await ledger.complete("r", total=0, force=True)).closed == 0
    assert await ledger.resource("r") == before
    assert len(await due(ledger)) == 1


async def test_r10_of_many_who_ask_at_once_one_ends_it(ledger: Ledger) -> None:
    outcomes = await asyncio.gather(*(ledger.complete("r", total=0) for _ in range(10)))
    assert sum(outcome.closed for outcome in outcomes) == 1
    assert len(await due(ledger)) == 1


async def test_r8_a_late_packet_is_told_that_it_has_ended(ledger: Ledger) -> None:
    await ledger.complete("r", total=0)
    (receipt,) = await offer(ledger, packet("r", 0))
    assert (receipt.status, receipt.reason) == (
        Status.CLOSED,
        "the resource has ended (collated) and never received index 0",
    )
    assert await claim(ledger) == []


async def test_r10_it_contradicts_packets_and_other_totals(ledger: Ledger) -> None:
    await send(ledger, packet("open", 0))
    await finish(ledger, "whole")
    await send(ledger, packet("cancelled", 0))
    await ledger.cancel("cancelled")
    for name in ("open", "whole", "cancelled"):
        with pytest.raises(Conflict):
            await ledger.complete(name, total=0)
    await ledger.complete("empty", total=0)
    with pytest.raises(Conflict, match="the total 1 contradicts the known total 0"):
        await ledger.complete("empty", total=1)
    await process(ledger)
    assert (await ledger.resource("open")).state is State.OPEN


async def test_r15_nothing_else_opens_a_resource(ledger: Ledger) -> None:
    for how in ({"total": 1}, {"force": True}):
        with pytest.raises(Unknown):
            await ledger.complete("r", **how)
    with pytest.raises(Malformed):
        await ledger.complete("r", total=-1)
    assert await ledger.counts() == Counts()


async def test_r10_it_needs_no_place_among_the_open(store: Store) -> None:
    ledger = await store.open(LedgerLimits(max_open=1))
    await send(ledger, packet("open", 0))
    await ledger.complete("r", total=0)
    assert (await ledger.resource("r")).state is State.COLLATED
