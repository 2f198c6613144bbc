"""The design of the brief, in its simplest honest form: Flask, a Celery task for each packet, Redis between and beside.

It runs in the environment of the peers, and imports nothing of Collator. What it does not have: nothing is written to a
disk, a packet whose worker dies is lost, a webhook is tried once and not signed, and the same index counts once.
"""

from __future__ import annotations

import json
import os
from typing import Any

import redis
import urllib3
from celery import Celery
from flask import Flask, request

BROKER, WEBHOOK = os.environ["BROKER"], os.environ["WEBHOOK"]
DAY = 86_400
"""Seconds after which what is left of a resource is forgotten."""

app = Flask(__name__)
queue = Celery("brief", broker=BROKER)
queue.set_default()  # or a task that a thread of Flask sends goes to another broker
queue.conf.update(task_ignore_result=True, worker_prefetch_multiplier=32, broker_pool_limit=8)
store = redis.Redis.from_url(BROKER, db=1)
http = urllib3.PoolManager()


@app.post("/v1/packets")  # type: ignore[untyped-decorator]  # not installed where types are checked
def receive() -> tuple[dict[str, Any], int]:
    """Take one packet."""
    packet = request.get_json()
    process.delay(packet["resource_id"], packet["index"], packet["payload"], packet.get("last", False))
    return {"status": "accepted"}, 202


@queue.task  # type: ignore[untyped-decorator]  # Celery has no types
def process(resource_id: str, index: int, payload: str, last: bool) -> None:  # noqa: FBT001 - it comes over the wire
    """Process one packet; send the webhook where it was the last one that was missing."""
    output = [len(word) for word in payload.split(" ")]
    outputs, total = f"outputs:{resource_id}", f"total:{resource_id}"
    with store.pipeline() as step:  # a transaction
        step.hset(outputs, str(index), json.dumps(output))
        step.expire(outputs, DAY)
        if last:
            step.set(total, index + 1, ex=DAY)
        step.hlen(outputs)
        step.get(total)
        *_, count, wanted = step.execute()
    if wanted is not None and count == int(wanted) and store.delete(total):
        found = {int(place): json.loads(value) for place, value in store.hgetall(outputs).items()}
        store.delete(outputs)
        send(resource_id, [found[place] for place in sorted(found)])


def send(resource_id: str, outputs: list[Any]) -> None:
    """Send the webhook, as Collator would write it."""
    data = {"resource_id": resource_id, "completed_by": "last", "total": len(outputs), "metadata": {}}
    body = {"type": "resource.collated", "timestamp": "", "data": {**data, "outputs": outputs}}
    http.request("POST", WEBHOOK, json=body)
