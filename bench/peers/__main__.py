"""The command line of the job by other means: see `bench.peers`. It exits with 0 only if every webhook was right."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from bench import job
from bench.celery_workers import Broker, broker
from bench.figures import POST, STREAM
from bench.peers.systems import CONNECTIONS, PEERS, Peer
from bench.processes import Helper, helper
from bench.receiver import Webhook
from bench.runs import Scale, measure
from bench.usage import Meter
from collator.errors import CollatorError
from collator.signals import cancel_on_stop

COLLATOR, WITH_CELERY = "collator", "collator-celery"
SYSTEMS = (COLLATOR, WITH_CELERY, *PEERS)
PACKETS = 20
"""Of a resource."""
WARM_UP = 10
"""Resources with payloads of their own, before each run of a peer."""
TIMEOUT = 120.0
"""Seconds that a run may take."""
MOST = 20_000
"""Resources of a run."""
DURABILITY = {
    COLLATOR: "synced to the disk before the ack",
    WITH_CELERY: "the same",
    "brief": "none (memory of Valkey)",
    "chord": "none (memory of Valkey)",
}

Figures = Mapping[str, float]
"""Packets a second, and processor time for each packet in µs of all processes but sender and receiver."""


def main() -> int:
    """Measure what the arguments say, and print it; the exit code."""
    parser = argparse.ArgumentParser("python -m bench.peers", description="Measure Collator beside other means.")
    add = parser.add_argument
    add("--resources", type=int, default=3000, metavar="N", help="of a run of Collator; a peer gets a tenth [3000]")
    add("--runs", type=int, choices=range(1, 10), default=3, help="of everything [3]")
    add("--only", choices=SYSTEMS, action="append", help="this system; may be given again [all]")
    add("--dir", type=Path, metavar="DIR", default=Path(), help="where stores are made, and removed [.]")
    add("--json", action="store_true", help="print the result as JSON, and progress to stderr")
    given = parser.parse_args()
    if not 1 <= given.resources <= MOST:
        parser.error(f"--resources: between 1 and {MOST}")
    try:
        found = uvloop.run(_measure(given.only or SYSTEMS, given.resources, given.runs, given.dir.resolve()))
    except (CollatorError, TimeoutError) as error:
        print(f"{error}" or f"a run took longer than {TIMEOUT:g} s", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("interrupted; the children have ended", file=sys.stderr)
        return 130
    if given.json:
        print(msgspec.json.encode({"date": time.strftime("%Y-%m-%d"), "cores": os.cpu_count(), "runs": found}).decode())
    else:
        _show(found)
    return 0


async def _measure(systems: Sequence[str], resources: int, runs: int, place: Path) -> dict[str, list[Figures]]:
    """The figures of each run, by the name of the system and the way of sending. In turn: loads of machines change."""
    cancel_on_stop()
    found: dict[str, list[Figures]] = {}
    for number in range(1, runs + 1):
        for system in systems:
            ways = (STREAM, POST) if system not in PEERS else (POST if system == "brief" else "chords",)
            for way in ways:
                figures = await _run(system, way, resources, number, place)
                found.setdefault(f"{system}, {way}", []).append(figures)
                words = ", ".join(f"{value:,.0f} {name}" for name, value in figures.items())
                print(f"{system}, {way}, run {number} of {runs}: {words}", file=sys.stderr, flush=True)
    return found


async def _run(system: str, way: str, resources: int, number: int, place: Path) -> Figures:
    """One run. Raises `CollatorError` where a webhook is missing or wrong."""
    with broker(None if system == COLLATOR else "valkey") as between:
        if between is None or system == WITH_CELERY:
            return await _collator(way, between, Scale(resources, PACKETS, CONNECTIONS, number, TIMEOUT, place, {}))
        async with (
            asyncio.timeout(TIMEOUT),
            helper("receiver") as receiver,
            PEERS[system](between, f"http://127.0.0.1:{receiver.port}/") as peer,
        ):
            await _job(peer, receiver, job.load(number + 1000, WARM_UP, PACKETS, payload=None))
            return await _job(peer, receiver, job.load(number, max(1, resources // 10), PACKETS))


async def _collator(way: str, between: Broker | None, scale: Scale) -> Figures:
    samples, faults, _ = await measure(way, scale._replace(between=between), scale.seed)
    if faults:
        raise CollatorError(f"{way}: {faults[0]}")
    cores = sum(samples.get(f"{name}_cores", 0.0) for name in ("service", "worker", "broker"))
    rate = samples["packets_per_second"]
    return {"packets/s": rate, "µs a packet": 1e6 * cores / rate}


async def _job(peer: Peer, receiver: Helper, load: job.Load) -> Figures:
    receiver.order(str(len(load.outputs)))
    meter = Meter(peer.pids)
    started = await peer.send(load)
    webhooks = msgspec.json.decode(await receiver.answer(), type=list[Webhook])
    used = meter.cores()
    if faults := [*job.faults(load, [webhook.body.encode() for webhook in webhooks])]:
        raise CollatorError(faults[0])
    cores = sum(used.get(name, 0.0) for name in peer.pids)
    rate = len(load.packets) / (max(webhook.at for webhook in webhooks) - started)
    return {"packets/s": rate, "µs a packet": 1e6 * cores * meter.seconds / len(load.packets)}


def _show(found: Mapping[str, Sequence[Figures]]) -> None:
    """Print a table: medians, and how many times a peer's rate the best of Collator's is."""
    rates = {name: median(run["packets/s"] for run in runs) for name, runs in found.items()}
    table = Table(box=None, padding=(0, 2, 0, 0))
    for head in ("", "packets/s", "µs a packet", *(f"× {peer}" for peer in PEERS), "what was acknowledged is"):
        table.add_column(head, justify="right" if head and "what" not in head else "left", no_wrap=True)
    for name, runs in found.items():
        cost = median(run["µs a packet"] for run in runs)
        ratios = [_ratio(rates[name], peer, rates) for peer in PEERS]
        table.add_row(name, f"{rates[name]:,.0f}", f"{cost:,.0f}", *ratios, DURABILITY[name.partition(",")[0]])
    console: Any = Console(highlight=False)
    if not console.is_terminal:
        console.width = 140
    console.print(table)


def _ratio(rate: float, peer: str, rates: Mapping[str, float]) -> str:
    beside = next((value for name, value in rates.items() if name.startswith(f"{peer},")), None)
    return f"{rate / beside:.1f}" if beside else "-"


if __name__ == "__main__":
    sys.exit(main())
