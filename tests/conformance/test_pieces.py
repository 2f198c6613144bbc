"""Bodies that are read piece by piece: the same bytes, none of the pieces large, and no damage sent on (P3, P5)."""

from __future__ import annotations

import json
from random import Random

import pytest

from collator.messages import Delivery, Failure, Output
from collator.packet import Status
from collator.seams.ledger import Ledger
from tests.conformance.steps import again, claim, due, due_one, offer, packet, packets, record, send
from tests.conformance.store import Store

MOST = 600 * 1024
"""Bytes of a piece that are no more than some 256 KiB."""
MEBIBYTE = 1024 * 1024
SHAPES = {
    "one": [1],
    "many small ones": [1] * 20_000,
    "of some size": [9_000] * 100,
    "of the size of a piece": [256 * 1024] * 5,
    "one byte less than a piece and one more": [256 * 1024 - 1, 256 * 1024 + 1, 256 * 1024 + 1, 256 * 1024 - 1],
    "the largest": [MEBIBYTE] * 3,
    "the largest among small ones": [3, MEBIBYTE, 3, 3, MEBIBYTE, 3],
    "at random": [round(2 ** Random(number).uniform(1, 20)) for number in range(60)],
}


def output(index: int, size: int) -> bytes:
    """JSON of *size* bytes that no other index has, where there is space for that."""
    return b"%d" % (index % 10) if size < 9 else b'"%s"' % (b"%06d" % index).ljust(size - 2, b"z")


async def in_pieces(ledger: Ledger, delivery: Delivery) -> bytes:
    """The body, of which no piece is large."""
    pieces = [piece async for piece in ledger.pieces(delivery)]
    assert max(map(len, pieces)) <= MOST
    return b"".join(pieces)


@pytest.mark.parametrize("sizes", SHAPES.values(), ids=SHAPES)
async def test_p3_pieces_are_the_body_byte_for_byte(ledger: Ledger, sizes: list[int]) -> None:
    outputs = [output(index, size) for index, size in enumerate(sizes)]
    await send(ledger, *packets(len(sizes)))
    while tasks := await claim(ledger):
        await record(ledger, *(Output(task.lease, outputs[task.key.index]) for task in tasks))
    delivery = await due_one(ledger)
    body = await in_pieces(ledger, delivery)
    head, tail = body.split(b'"outputs":', 1)
    assert tail == b"[" + b",".join(outputs) + b"]}}"
    assert json.loads(head + b'"outputs":[]}}')["data"]["total"] == len(sizes)
    assert body == await ledger.body(delivery) == (delivery.body or body)


@pytest.mark.parametrize("sizes", SHAPES.values(), ids=SHAPES)
async def test_p3_pieces_of_what_is_incomplete_are_its_body(ledger: Ledger, sizes: list[int]) -> None:
    outputs = {3 * index: output(index, size) for index, size in enumerate(sizes)}
    await send(ledger, *(packet("r", index) for index in outputs), packet("r", 1))
    results = [
        Failure(task.lease, "bad") if task.key.index == 1 else Output(task.lease, outputs[task.key.index])
        for task in await claim(ledger)
    ]
    await record(ledger, *results)
    await ledger.complete("r", force=True)
    delivery = await due_one(ledger)
    body = await in_pieces(ledger, delivery)
    parts = [b'{"index":%d,"output":%s}' % item for item in outputs.items()]
    assert body[body.index(b'"partial":') : body.index(b',"missing":')] == b'"partial":[' + b",".join(parts) + b"]"
    assert json.loads(body)["data"]["failed"][0]["reason"] == "bad"
    assert body == await ledger.body(delivery) == (delivery.body or body)


async def test_p5_what_is_listed_behind_the_outputs_comes_in_pieces_too(ledger: Ledger) -> None:
    await send(ledger, *packets(8_000))
    await record(ledger, *(Failure(task.lease, "x" * 300) for task in await claim(ledger)))
    body = await in_pieces(ledger, await due_one(ledger))
    assert len(body) > 8 * MOST // 2
    assert len(json.loads(body)["data"]["failed"]) == 8_000


async def test_p5_many_tiny_outputs_of_what_is_incomplete_make_a_large_body(ledger: Ledger) -> None:
    await send(ledger, *(packet("r", 2 * index) for index in range(45_000)))
    await record(ledger, *(Output(task.lease, b"1") for task in await claim(ledger)))
    await ledger.complete("r", force=True)
    delivery = await due_one(ledger)
    assert (delivery.large, delivery.body) == (True, None)
    assert len(await in_pieces(ledger, delivery)) > MEBIBYTE


@pytest.mark.one_ledger("each ledger has a bound of its own")
async def test_p5_bodies_that_come_with_their_deliveries_are_bounded_together(ledger: Ledger) -> None:
    for number in range(60):
        await send(ledger, *packets(1, f"r{number}"))
    await record(ledger, *(Output(task.lease, output(0, 200_000)) for task in await claim(ledger)))
    deliveries = await ledger.claim_deliveries("default", capacity=60)
    assert len(deliveries) == 60
    assert 0 < sum(len(delivery.body or b"") for delivery in deliveries) <= 4 * MEBIBYTE
    assert {len(await in_pieces(ledger, delivery)) for delivery in deliveries} <= {200_150 + n for n in range(60)}


async def test_p3_pieces_are_the_same_at_every_reading_and_over_restarts(store: Store) -> None:
    ledger = await store.open()
    await send(ledger, *packets(4))
    await record(ledger, *(Output(task.lease, output(task.key.index, 700_000)) for task in await claim(ledger)))
    delivery = await due_one(ledger)
    first = await in_pieces(ledger, delivery)
    assert await in_pieces(ledger, delivery) == first
    await ledger.record_attempts([again(delivery, 0.0)])
    for restart in (store.reopen, store.crash):
        ledger = await restart(down=31.0)
        assert await in_pieces(ledger, await due_one(ledger)) == first


async def test_p5_other_looks_have_their_turn_while_a_large_body_is_read(ledger: Ledger) -> None:
    await send(ledger, *packets(16))
    await record(ledger, *(Output(task.lease, output(task.key.index, MEBIBYTE)) for task in await claim(ledger)))
    reading = ledger.pieces(await due_one(ledger))
    await anext(reading)
    assert (await ledger.resource("r")).done == 16
    left = [piece async for piece in reading]
    assert len(left) >= 16


async def test_r18_a_resource_of_many_gaps_ends_as_any_other_and_says_them_all(store: Store) -> None:
    ledger = await store.open()
    count = 9_000
    for name, step in (("many", 3), ("few", 1)):
        await send(ledger, *(packet(name, step * index, total=step * count + 1) for index in range(count)))
    tasks = [task for task in await claim(ledger) if task.key.index % 2 == 0]
    await record(ledger, *(Output(task.lease, b"1") for task in tasks))
    for name in ("many", "few"):
        await ledger.complete(name, force=True)
    ledger = await store.crash()
    said = {one.resource_id: await in_pieces(ledger, one) for one in await due(ledger)}
    data = json.loads(said["many"])["data"]
    assert data["missing"] == [[3 * index + 1, 3 * index + 2] for index in range(count - 1)] + [
        [3 * count - 2, 3 * count]
    ]
    assert data["unfinished"] == [[3 * index, 3 * index] for index in range(1, count, 2)]
    many, few = await ledger.resource("many"), await ledger.resource("few")
    assert (many.state, many.completed_by, many.closed_at) == (few.state, few.completed_by, few.closed_at)
    assert (many.received, many.done, few.received) == (count, count // 2, count)
    receipts = await offer(ledger, packet("many", 3), packet("many", 4))
    assert [receipt.status for receipt in receipts] == [Status.DUPLICATE, Status.CLOSED]
