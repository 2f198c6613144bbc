"""What a late packet is told once its resource has ended (R8), and why nothing old touches a new generation (R11)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable

import pytest

from collator.errors import Unknown
from collator.messages import Failure, Lease, Output, Recorded, Result, Retry
from collator.packet import Status
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Ledger
from collator.states import State
from tests.conformance.steps import (
    claim,
    claim_one,
    content,
    dead,
    delivered,
    drain,
    due,
    due_one,
    finish,
    listed,
    offer,
    packet,
    process,
    purge,
    record,
    replay,
    send,
    webhook,
)
from tests.conformance.store import Store

ACCEPTED, DUPLICATE, CLOSED = Status.ACCEPTED, Status.DUPLICATE, Status.CLOSED

Restart = Callable[[Store, Ledger], Awaitable[Ledger]]


async def _no_restart(_store: Store, ledger: Ledger) -> Ledger:
    return ledger


async def _reopen(store: Store, _ledger: Ledger) -> Ledger:
    return await store.reopen()


async def _crash(store: Store, _ledger: Ledger) -> Ledger:
    return await store.crash()


restarts = pytest.mark.parametrize("restart", [_no_restart, _reopen, _crash])


@restarts
async def test_r8_an_index_that_was_received_answers_duplicate_after_the_end(store: Store, restart: Restart) -> None:
    ledger = await store.open()
    await finish(ledger, "r", [b"0", b"1"])
    ledger = await restart(store, ledger)
    late = [packet("r", 0), packet("r", 1, b'"other bytes"'), packet("r", 1, last=True)]
    assert await send(ledger, *late) == [DUPLICATE, DUPLICATE, DUPLICATE]


@restarts
async def test_r8_an_index_that_was_never_received_answers_closed(store: Store, restart: Restart) -> None:
    ledger = await store.open()
    await finish(ledger, "r", [b"0", b"1"])
    ledger = await restart(store, ledger)
    (receipt,) = await offer(ledger, packet("r", 2))
    assert receipt.status is CLOSED
    assert receipt.reason


@restarts
async def test_r8_gaps_of_an_incomplete_resource_stay_closed(store: Store, restart: Restart) -> None:
    ledger = await store.open()
    await send(ledger, *(packet("r", index) for index in (0, 1, 3, 6, 7)))
    await ledger.complete("r", force=True)
    ledger = await restart(store, ledger)
    statuses = await send(ledger, *(packet("r", index, b'"late"') for index in range(9)))
    assert [index for index, status in enumerate(statuses) if status is DUPLICATE] == [0, 1, 3, 6, 7]
    assert [index for index, status in enumerate(statuses) if status is CLOSED] == [2, 4, 5, 8]


@restarts
async def test_r8_a_cancelled_resource_answers_like_any_other(store: Store, restart: Restart) -> None:
    ledger = await store.open()
    await send(ledger, packet("r", 5))
    await ledger.cancel("r")
    ledger = await restart(store, ledger)
    assert await send(ledger, packet("r", 5), packet("r", 0)) == [DUPLICATE, CLOSED]


async def test_r8_late_packets_change_nothing(ledger: Ledger) -> None:
    await finish(ledger)
    await drain(ledger)
    before = await ledger.resource("r"), await ledger.counts()
    await send(ledger, packet("r", 0, total=1, metadata=b'{"a":1}'), packet("r", 1), packet("r", 9, last=True))
    assert (await ledger.resource("r"), await ledger.counts()) == before
    assert not await claim(ledger)
    assert not await due(ledger)


@restarts
async def test_r25_the_tombstone_answers_as_long_as_the_resource_is_kept(store: Store, restart: Restart) -> None:
    ledger = await store.open(LedgerLimits(retention=100.0))
    await finish(ledger)
    await drain(ledger)
    store.clock.advance(99)
    assert await purge(ledger) == 0
    ledger = await restart(store, ledger)
    assert await send(ledger, packet("r", 0, b"9"), packet("r", 1)) == [DUPLICATE, CLOSED]


async def test_r11_a_forgotten_id_opens_anew(ledger: Ledger) -> None:
    await finish(ledger, "r", [b"0"])
    await drain(ledger)
    await ledger.purge(limit=1_000, resource_id="r")
    assert await send(ledger, packet("r", 0, b'"new"'), packet("r", 1, last=True)) == [ACCEPTED, ACCEPTED]
    report = await ledger.resource("r")
    assert (report.state, report.received, report.done, report.completed_by) == (State.OPEN, 2, 0, None)
    await process(ledger)
    assert (await webhook(ledger))["data"]["outputs"] == ["new", 1]


async def test_r11_each_generation_has_a_webhook_id_of_its_own(ledger: Ledger) -> None:
    ids = set()
    for _ in range(3):
        await finish(ledger)
        (delivery,) = await drain(ledger)
        ids.add(delivery.webhook_id)
        await ledger.purge(limit=1_000, resource_id="r")
    assert len(ids) == 3


async def test_r11_resources_never_share_a_generation(ledger: Ledger) -> None:
    await send(ledger, *(packet(f"r{number}", 0) for number in range(50)))
    assert len({task.key.generation for task in await claim(ledger)}) == 50


async def test_r11_the_webhook_id_is_a_hash_of_the_resource_and_its_generation(ledger: Ledger) -> None:
    await send(ledger, packet("Zoë", 0, last=True))
    task = await claim_one(ledger)
    assert len(task.key.generation) == 16
    await record(ledger, Output(task.lease, b"1"))
    digest = hashlib.sha256("Zoë".encode() + b"\0" + task.key.generation).digest()
    expected = "msg_" + base64.b32encode(digest).decode().rstrip("=").lower()
    delivery = await due_one(ledger)
    assert (delivery.webhook_id, delivery.generation) == (expected, task.key.generation)
    report = await ledger.resource("Zoë")
    assert (report.webhook_id, report.deliveries[0].webhook_id) == (expected, expected)


@restarts
async def test_r11_a_generation_is_one_from_its_opening_to_its_end(store: Store, restart: Restart) -> None:
    ledger = await store.open()
    await send(ledger, packet("r", 0))
    first = (await ledger.resource("r")).webhook_id
    ledger = await restart(store, ledger)
    await send(ledger, packet("r", 1, last=True))
    await process(ledger)
    await process(ledger)
    assert (await due_one(ledger)).webhook_id == first


@pytest.mark.parametrize(
    "late", [lambda to: Output(to, b'"old"'), lambda to: Failure(to, "old"), lambda to: Retry(to, "old", 5.0)]
)
async def test_r11_an_old_lease_touches_nothing_new(ledger: Ledger, late: Callable[[Lease], Result]) -> None:
    await send(ledger, packet("r", 0))
    old = await claim_one(ledger)
    await ledger.cancel("r")
    await ledger.purge(limit=1_000, resource_id="r")
    await send(ledger, packet("r", 0, b'"new"', last=True))
    new = await claim_one(ledger)
    assert await record(ledger, late(old.lease)) != [Recorded.RECORDED]
    await ledger.release([old.lease])
    assert not await claim(ledger)
    assert await record(ledger, Output(new.lease, b'"new"')) == [Recorded.RECORDED]
    assert (await webhook(ledger))["data"]["outputs"] == ["new"]


async def test_r11_the_end_of_an_old_delivery_touches_nothing_new(ledger: Ledger) -> None:
    await finish(ledger)
    old = await due_one(ledger)
    await ledger.record_attempts([dead(old)])
    await ledger.purge(limit=1_000, resource_id="r")
    await finish(ledger, "r", [b'"new"'])
    assert await ledger.record_attempts([delivered(old), dead(old)]) == [False, False]
    new = await due_one(ledger)
    assert new.webhook_id != old.webhook_id
    assert (await content(ledger, new))["data"]["outputs"] == ["new"]


async def test_r25_nothing_is_known_of_what_was_purged(ledger: Ledger) -> None:
    await finish(ledger)
    await drain(ledger)
    await ledger.purge(limit=1_000, resource_id="r")
    for look in (ledger.resource("r"), ledger.outputs("r"), ledger.cancel("r"), replay(ledger, resource_id="r")):
        with pytest.raises(Unknown):
            await look
    assert not await ledger.resources()
    assert not await listed(ledger)
