"""The steps that the conformance tests are told in: packets to give, work to do, webhooks to send.

The processor of these tests is an echo where nothing else is said: the output is the payload.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from msgspec import Raw
from msgspec.structs import replace

from collator.errors import Unavailable
from collator.messages import (
    AnyResult,
    Attempt,
    Batch,
    Delivery,
    DeliveryFilter,
    DeliveryReport,
    Failure,
    Key,
    Output,
    Recorded,
    ResourceFilter,
    Result,
    RunOutputs,
    StepResult,
    Task,
    UnfinishedResource,
    tasks_of,
)
from collator.packet import Packet, PacketLimits, Receipt, Status, check
from collator.seams.ledger import Ledger
from collator.states import DeliveryState

PLENTY = 100_000
"""Capacity that no test fills."""


def packet(
    resource_id: str = "r",
    index: int = 0,
    payload: bytes | None = None,
    *,
    last: bool = False,
    total: int | None = None,
    metadata: bytes | None = None,
) -> Packet:
    """A packet as it comes from the wire, checked; its payload is its index where none is given."""
    raw = Raw(b"%d" % index if payload is None else payload)
    meta = Raw(metadata or b"")
    return check(Packet(resource_id, index, raw, last, total, meta), PacketLimits())


def packets(count: int, resource_id: str = "r", *, last: bool = True) -> list[Packet]:
    """A resource of *count* packets, in order."""
    return [packet(resource_id, index, last=last and index == count - 1) for index in range(count)]


async def offer(ledger: Ledger, *given: Packet) -> Sequence[Receipt]:
    """Give packets and look at the receipts; nothing is handed out."""
    batch = Batch(given)
    return batch.in_order((await ledger.accept(batch.groups, capacity=0)).receipts)


async def send(ledger: Ledger, *given: Packet) -> list[Status]:
    """Give packets, and what became of each."""
    return [receipt.status for receipt in await offer(ledger, *given)]


async def claim(ledger: Ledger, capacity: int = PLENTY) -> list[Task]:
    """Claim what is due, packet by packet."""
    return tasks_of(await ledger.claim(capacity=capacity))


async def claim_one(ledger: Ledger) -> Task:
    """Claim what must be the only packet that is due."""
    (task,) = await claim(ledger)
    return task


async def record(ledger: Ledger, *reports: AnyResult) -> Sequence[Recorded]:
    """Report what came of packets, with room for no delivery."""
    return (await ledger.record(reports, capacity={})).statuses


def echo(tasks: Iterable[Task]) -> list[Output]:
    """Outputs that equal their payloads."""
    return [Output(task.lease, task.payload) for task in tasks]


def joined(results: Iterable[Result]) -> list[AnyResult]:
    """*results*, those outputs together that follow each other in a run."""
    reports: list[AnyResult] = []
    for result in results:
        last = reports[-1] if reports else None
        if not isinstance(result, Output):
            reports.append(result)
        elif (
            isinstance(last, RunOutputs)
            and replace(last.lease, position=last.lease.position + len(last.outputs)) == result.lease
        ):
            reports[-1] = replace(last, outputs=[*last.outputs, result.output])
        else:
            reports.append(RunOutputs(result.lease, [result.output]))
    return reports


async def process(ledger: Ledger, capacity: int = PLENTY) -> StepResult:
    """Claim what is due, up to *capacity*, and record its outputs."""
    return await ledger.record(echo(await claim(ledger, capacity)), capacity={})


async def fail(ledger: Ledger, reason: str = "no such word") -> StepResult:
    """Claim what is due, and report that it has failed for good."""
    return await ledger.record([Failure(task.lease, reason) for task in await claim(ledger)], capacity={})


async def finish(ledger: Ledger, resource_id: str = "r", outputs: Sequence[bytes] = (b"0",)) -> None:
    """A whole resource, from its packets to its last output."""
    end = len(outputs) - 1
    await send(ledger, *(packet(resource_id, at, output, last=at == end) for at, output in enumerate(outputs)))
    await process(ledger)


async def due(ledger: Ledger, endpoint: str = "default", capacity: int = PLENTY) -> Sequence[Delivery]:
    """Claim the deliveries that are due, those that are large last."""
    small = await ledger.claim_deliveries(endpoint, capacity=capacity)
    return [*small, *await ledger.claim_deliveries(endpoint, capacity=capacity - len(small), large=True)]


async def due_one(ledger: Ledger, endpoint: str = "default") -> Delivery:
    """Claim what must be the only delivery that is due."""
    (delivery,) = await due(ledger, endpoint)
    return delivery


async def drain(ledger: Ledger, endpoint: str = "default") -> Sequence[Delivery]:
    """Claim the deliveries that are due, and deliver them."""
    deliveries = await due(ledger, endpoint)
    assert await ledger.record_attempts([delivered(delivery) for delivery in deliveries]) == [True] * len(deliveries)
    return deliveries


def delivered(delivery: Delivery) -> Attempt:
    """The receiver said 2xx."""
    return Attempt(delivery, DeliveryState.DELIVERED, "HTTP 200")


def again(delivery: Delivery, delay: float = 60.0, *, counted: bool = True) -> Attempt:
    """The receiver said 503: try again later."""
    return Attempt(delivery, DeliveryState.DUE, "HTTP 503", delay, counted)


def dead(delivery: Delivery) -> Attempt:
    """No attempt is left."""
    return Attempt(delivery, DeliveryState.DEAD, "HTTP 410")


async def listed(ledger: Ledger, *, limit: int = PLENTY, **wanted: Any) -> list[DeliveryReport]:  # noqa: ANN401
    """The deliveries that are *wanted*, all pages of *limit*; none is there twice."""
    page = await ledger.deliveries(DeliveryFilter(**wanted), limit=limit)
    found = [*page.deliveries]
    while page.after is not None:
        page = await ledger.deliveries(DeliveryFilter(**wanted), after=page.after, limit=limit)
        found += page.deliveries
    assert len({report.id for report in found}) == len(found)
    return found


async def replay(ledger: Ledger, *, limit: int = PLENTY, **wanted: Any) -> frozenset[str]:  # noqa: ANN401
    """Replay all that is *wanted*, *limit* at a step: the endpoints that have something due."""
    step = await ledger.replay(DeliveryFilter(**wanted), limit=limit)
    endpoints = step.endpoints
    while step.after is not None:
        step = await ledger.replay(DeliveryFilter(**wanted), after=step.after, limit=limit)
        endpoints |= step.endpoints
    return endpoints


async def unfinished(ledger: Ledger, wanted: ResourceFilter, limit: int = PLENTY) -> list[UnfinishedResource]:
    """The resources that a retry of those *wanted* would find, all pages of *limit*."""
    page = await ledger.unfinished(wanted, limit=limit)
    found = [*page.resources]
    while page.after is not None:
        page = await ledger.unfinished(wanted, after=page.after, limit=limit)
        found += page.resources
    return found


async def retry_all(ledger: Ledger, wanted: ResourceFilter, limit: int = PLENTY) -> int:
    """Retry all that is *wanted*, *limit* at a step, up to the end or to a limit of the ledger: how many packets."""
    packets = 0
    with suppress(Unavailable):
        step = await ledger.retry_all(wanted, limit=limit)
        packets = step.packets
        while step.after is not None:
            step = await ledger.retry_all(wanted, after=step.after, limit=limit)
            packets += step.packets
    return packets


async def content(ledger: Ledger, delivery: Delivery) -> dict[str, Any]:
    """What the body of a delivery says."""
    said: dict[str, Any] = json.loads(await ledger.body(delivery))
    return said


async def webhook(ledger: Ledger, endpoint: str = "default") -> dict[str, Any]:
    """Claim what must be the only delivery that is due: what its body says."""
    return await content(ledger, await due_one(ledger, endpoint))


async def outputs(ledger: Ledger, resource_id: str = "r", **page: Any) -> list[tuple[int, bytes | None]]:  # noqa: ANN401
    """A page of outputs in index order, with their indexes."""
    return [(one.index, one.output) for one in (await ledger.outputs(resource_id, **page)).outcomes]


async def purge(ledger: Ledger, limit: int = 1_000, resource_id: str | None = None) -> int:
    """Purge until nothing is left to purge: how many calls took something away."""
    calls = 0
    while await ledger.purge(limit=limit, resource_id=resource_id):
        calls += 1
    return calls


def places(tasks: Iterable[Task | Key]) -> list[tuple[str, int]]:
    """Which packets these are: resource id and index of each."""
    keys = (item.key if isinstance(item, Task) else item for item in tasks)
    return [(key.resource_id, key.index) for key in keys]
