"""Measure calls to an HTTP processor: how much of a service with a limit is used, and what hedging is worth.

    python -m bench.processor [--only NAME] [--runs N] [--json]

The parts, each with a service and a stand-in for the processor of its own:

| part | the processor |
|---|---|
| `fixed`, `limit`, `limit-100` | takes 8 calls of 0.2 s; `--concurrency` is 8, the best fixed one, then 20, then 100 |
| `moving` | takes 8 calls of 0.2 s, after 10 s 2, after 25 s 16; `--concurrency 64` |
| `connections` | takes 8 connections, as uvicorn with `--limit-concurrency`; calls of 0.5 s; `--concurrency 100` |
| `two` | takes 2 calls of 3 s |
| `minute` | takes 5 calls a minute |
| `plain`, `hedge` | 1 % of calls of 0.2 s take 20 times as long; without and with `--hedge p95` |

`used` is the time that the processor needs at best, as a share of that from the first packet to the last webhook.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import inf
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import aiohttp
import msgspec
import uvloop

from bench.processes import Helper, ServiceProcess, helper, service
from bench.quantiles import quantile
from bench.receiver import Webhook
from bench.stand_in import Account, Manner

TIMEOUT = 150.0
"""Seconds that a part may take."""
_EIGHT = Manner(takes=[(0.0, 8)])
_RARELY_SLOW = Manner(spread=0.2, slow=0.01)


class Part(NamedTuple):
    """What is measured."""

    manner: Manner
    resources: int
    packets: int
    """Of a resource; they are sent in one request."""
    settings: Mapping[str, str]
    rate: float = 0.0
    """Resources a second; all at once where there is none."""


PARTS: Mapping[str, Part] = {
    "fixed": Part(_EIGHT, 100, 20, {"concurrency": "8"}),
    "limit": Part(_EIGHT, 100, 20, {"concurrency": "20"}),
    "limit-100": Part(_EIGHT, 100, 20, {"concurrency": "100"}),
    "moving": Part(Manner(takes=[(0.0, 8), (10.0, 2), (25.0, 16)]), 100, 20, {"concurrency": "64"}),
    "connections": Part(Manner(seconds=0.5, takes=[(0.0, 8)], counts_connections=True), 10, 10, {"concurrency": "100"}),
    "two": Part(Manner(seconds=3.0, takes=[(0.0, 2)]), 1, 24, {"concurrency": "8"}),
    "minute": Part(Manner(seconds=0.05, per_minute=5), 1, 10, {"concurrency": "8"}),
    "plain": Part(_RARELY_SLOW, 600, 10, {"concurrency": "64"}, rate=10.0),
    "hedge": Part(_RARELY_SLOW, 600, 10, {"concurrency": "64", "hedge": "p95"}, rate=10.0),
}


async def measure(part: Part, seed: int) -> dict[str, float]:
    """Measure *part* once."""
    async with helper("receiver") as receiver, helper("stand_in") as stand_in:
        await _order(stand_in, msgspec.structs.replace(part.manner, seed=seed))
        settings = {"processor": f"http://127.0.0.1:{stand_in.port}/", **part.settings}
        with TemporaryDirectory() as directory:
            webhook = f"http://127.0.0.1:{receiver.port}/"
            async with service(Path(directory), webhook, settings) as process, asyncio.timeout(TIMEOUT):
                sent, webhooks = await process.unless_ended(_run(part, process, receiver, seed))
        return _figures(part, sent, webhooks, await _order(stand_in, None))


async def _run(
    part: Part, process: ServiceProcess, receiver: Helper, seed: int
) -> tuple[Mapping[str, float], Sequence[Webhook]]:
    """Send everything: when each resource was sent, and its webhooks."""
    receiver.order(str(part.resources))
    random, sent, begun = Random(seed), dict[str, float](), time.monotonic()
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        for number in range(part.resources):
            if part.rate:
                begun += random.expovariate(part.rate)
                await asyncio.sleep(begun - time.monotonic())
            name = f"r{number}"
            sent[name] = time.monotonic()
            group.create_task(_send(session, f"http://127.0.0.1:{process.port}/v1/packets", name, part.packets))
    return sent, msgspec.json.decode(await receiver.answer(), type=list[Webhook])


async def _send(session: aiohttp.ClientSession, url: str, name: str, packets: int) -> None:
    last = packets - 1
    whole = [{"resource_id": name, "index": index, "payload": index, "last": index == last} for index in range(packets)]
    async with session.post(url, json=whole) as answer:
        answer.raise_for_status()


def _figures(part: Part, sent: Mapping[str, float], webhooks: Sequence[Webhook], account: Account) -> dict[str, float]:
    data = [msgspec.json.decode(webhook.body)["data"] for webhook in webhooks]
    delays = [webhook.at - sent[one["resource_id"]] for webhook, one in zip(webhooks, data, strict=True)]
    packets = part.resources * part.packets
    seconds = max(webhook.at for webhook in webhooks) - min(sent.values())
    figures = {
        "seconds": seconds,
        "failed": packets - sum(len(one.get("outputs", one.get("partial", ()))) for one in data),
        "calls": account.calls,
        "more_calls": (account.calls - account.refused) / packets - 1.0,
        "refused": account.refused,
        "refused_after_5_s": account.late_refused / max(1, account.late),
        "most_at_a_time": account.most,
        **{f"to_webhook_p{share}": quantile(delays, share / 100) for share in (50, 90, 99)},
    }
    return figures | ({} if part.rate or part.manner.per_minute else {"used": _at_best(part.manner, packets) / seconds})


def _at_best(manner: Manner, packets: int) -> float:
    """The seconds in which it takes *packets* at best."""
    for (since, most), (until, _) in pairwise([*manner.takes, (inf, 0)]):
        seconds = packets * manner.seconds / most
        if since + seconds <= until:
            return since + seconds
        packets -= int((until - since) * most / manner.seconds)
    raise AssertionError("it is never done")


async def _order(stand_in: Helper, manner: Manner | None) -> Account:
    stand_in.order(msgspec.json.encode(manner).decode())
    return msgspec.json.decode(await stand_in.answer(), type=Account)


def main() -> None:
    """Measure what the arguments say, and print it."""
    parser = argparse.ArgumentParser("python -m bench.processor", description=str(__doc__).partition("\n")[0])
    parser.add_argument("--only", choices=[*PARTS], action="append", help="this part; may be given again [all]")
    parser.add_argument("--runs", type=int, choices=range(1, 10), default=1, help="of everything [1]")
    parser.add_argument("--seed", type=int, default=1, help="of the first run; decides which calls are slow [1]")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    given = parser.parse_args()
    found: dict[str, list[dict[str, Any]]] = {}
    for seed in range(given.seed, given.seed + given.runs):
        for name in given.only or PARTS:
            figures = uvloop.run(measure(PARTS[name], seed))
            found.setdefault(name, []).append(figures)
            words = ", ".join(f"{what} {value:.4g}" for what, value in figures.items())
            print(f"{name}, seed {seed}: {words}", file=sys.stderr, flush=True)
    if given.json:
        print(msgspec.json.encode(found).decode())


if __name__ == "__main__":
    main()
