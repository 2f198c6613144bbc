"""One run of one system: a rate under load with the processor time for a packet, and a delay at light load."""

from __future__ import annotations

import asyncio
from pathlib import Path
from statistics import median
from typing import NamedTuple

import msgspec

from bench import celery_workers, job
from bench.figures import LIGHT, POST, STREAM
from bench.peers.children import Peer
from bench.peers.systems import PEERS, System
from bench.processes import Helper, helper
from bench.receiver import Webhook
from bench.runs import Scale, measure
from bench.sender import Sent
from bench.usage import Meter
from collator.errors import CollatorError

COLLATOR, WITH_CELERY = "collator", "collator-celery"
PACKETS = 20
"""Of a resource."""
WARM_UP = 10
"""Resources with payloads of their own, before each run of a peer."""
LIGHT_RESOURCES = 40
CONNECTIONS = 64
"""Of single POSTs to Collator."""


class Figures(NamedTuple):
    """What one run measured."""

    packets_per_second: float
    """First packet handed over to last webhook received."""
    us_per_packet: float
    """Processor time of all processes but sender and receiver; 0 where nobody can tell."""
    delay_ms: float
    """Last packet acknowledged to webhook received, one resource at a time: the median."""


async def run(system: str, resources: int, number: int, place: Path, timeout: float) -> dict[str, Figures]:
    """Measure *system* once, by the ways of sending. Raises `CollatorError` where a webhook is missing or wrong."""
    if system not in PEERS:
        with celery_workers.broker(None if system == COLLATOR else "valkey") as between:
            scale = Scale(resources, PACKETS, CONNECTIONS, number, timeout, place, {}, between=between)
            return await _collator(system, scale)
    peer = PEERS[system]
    async with (
        asyncio.timeout(timeout),
        helper("receiver") as receiver,
        peer.start(f"http://127.0.0.1:{receiver.port}/") as ready,
    ):
        await _rate(ready, receiver, job.load(number + 1000, WARM_UP, PACKETS, payload=None))
        rate, used = await _rate(ready, receiver, job.load(number, max(1, resources // peer.divisor), PACKETS))
        delays = await _delays(ready, receiver, peer, job.load(number + 2000, LIGHT_RESOURCES, PACKETS, at_once=1))
    return {system: Figures(rate, used, 1e3 * median(delays))}


async def _collator(system: str, scale: Scale) -> dict[str, Figures]:
    found = {}
    for part in (STREAM, POST, LIGHT):
        samples, faults, _ = await measure(part, scale, scale.seed)
        if faults:
            raise CollatorError(f"{part}: {faults[0]}")
        found[part] = samples
    return {
        f"{system}, {part}": Figures(
            found[part]["packets_per_second"],
            1e6 * sum(found[part].get(f"{name}_us_per_packet", 0.0) for name in ("service", "worker", "broker")),
            1e3 * found[LIGHT]["ack_to_webhook_p50_ms"],
        )
        for part in (STREAM, POST)
    }


async def _rate(peer: Peer, receiver: Helper, load: job.Load) -> tuple[float, float]:
    """Packets a second, and µs of processor time for each."""
    meter = Meter(peer.pids)
    sent, webhooks = await _sent(peer, receiver, load, len(load.outputs))
    used = meter.cores()
    _check(load, webhooks)
    seconds = sum(used.get(name, 0.0) for name in peer.pids) * meter.seconds
    rate = len(load.packets) / (max(webhook.at for webhook in webhooks) - sent.started)
    return rate, 1e6 * seconds / len(load.packets)


async def _delays(peer: Peer, receiver: Helper, system: System, load: job.Load) -> list[float]:
    """Each packet when the one before is acknowledged, unless it takes whole resources; one resource at a time."""
    delays, found = [], []
    for start in range(0, len(load.packets), PACKETS):
        packets = load.packets[start : start + PACKETS]
        if not system.whole:
            for packet in packets[:-1]:
                await peer.send(load._replace(packets=[packet]))
            packets = packets[-1:]
        sent, (webhook,) = await _sent(peer, receiver, load._replace(packets=packets), 1)
        delays.append(webhook.at - sent.ended)
        found.append(webhook)
    _check(load, found)
    return delays


async def _sent(peer: Peer, receiver: Helper, load: job.Load, count: int) -> tuple[Sent, list[Webhook]]:
    receiver.order(str(count))
    sent = await peer.send(load)
    return sent, msgspec.json.decode(await receiver.answer(), type=list[Webhook])


def _check(load: job.Load, webhooks: list[Webhook]) -> None:
    if faults := [*job.faults(load, [webhook.body.encode() for webhook in webhooks])]:
        raise CollatorError(faults[0])
