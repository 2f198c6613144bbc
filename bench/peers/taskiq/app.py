"""A taskiq task for each packet on a stream of Redis; the task that records the last missing output sends the webhook.

It runs in the environment of the peers, and imports nothing of Collator. A stream gives what a dead worker had taken
to another one, if new messages come. A webhook is tried once and not signed.
"""

from __future__ import annotations

import json
import os
from typing import Any

import aiohttp
import redis.asyncio
import uvloop
from taskiq import TaskiqEvents, TaskiqState
from taskiq_redis import RedisStreamBroker

from bench.peers.feed import feed

BROKER, WEBHOOK = os.environ["BROKER"], os.environ["WEBHOOK"]
DAY = 86_400
"""Seconds after which what is left of a resource is forgotten."""
AT_ONCE = 64
"""Packets that wait for their acknowledgement."""

broker = RedisStreamBroker(BROKER, consumer_id="0")  # what came before the workers is theirs too
store = redis.asyncio.Redis.from_url(BROKER, db=1)


@broker.on_event(TaskiqEvents.WORKER_STARTUP)  # type: ignore[untyped-decorator]  # not installed where types are checked
async def start(state: TaskiqState) -> None:
    """Keep the connections to the receiver."""
    state.http = aiohttp.ClientSession()


@broker.task(task_name="process")  # type: ignore[untyped-decorator]  # as a program it has another name
async def process(packet: dict[str, Any]) -> None:
    """Process one packet; send the webhook where it was the last one that was missing."""
    output = [len(word) for word in packet["payload"].split(" ")]
    outputs, total = f"outputs:{packet['resource_id']}", f"total:{packet['resource_id']}"
    async with store.pipeline() as step:  # a transaction
        step.hset(outputs, str(packet["index"]), json.dumps(output))
        step.expire(outputs, DAY)
        if packet.get("last"):
            step.set(total, packet["index"] + 1, ex=DAY)
        step.hlen(outputs)
        step.get(total)
        *_, count, wanted = await step.execute()
    if wanted is not None and count == int(wanted) and await store.delete(total):
        found = {int(place): json.loads(value) for place, value in (await store.hgetall(outputs)).items()}
        await store.delete(outputs)
        await send(packet["resource_id"], [found[place] for place in sorted(found)])


async def send(resource_id: str, outputs: list[Any]) -> None:
    """Send the webhook, as Collator would write it."""
    data = {"resource_id": resource_id, "completed_by": "last", "total": len(outputs), "metadata": {}}
    body = {"type": "resource.collated", "timestamp": "", "data": {**data, "outputs": outputs}}
    async with broker.state.http.post(WEBHOOK, json=body) as answer:
        await answer.read()


async def main() -> None:
    """Send a task for each packet."""
    await broker.startup()
    await feed(process.kiq, at_once=AT_ONCE)
    await broker.shutdown()


if __name__ == "__main__":
    uvloop.run(main())
