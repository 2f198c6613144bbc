"""A Celery chord for each resource: its packets are the header, the webhook is the body.

It runs in the environment of the peers, and imports nothing of Collator. A chord needs all packets of a resource at
once. As a program it submits what `bench.peers.feed` brings.
"""

from __future__ import annotations

import os
from typing import Any

import urllib3
from celery import Celery, chord

from bench.peers.feed import loads

BROKER, WEBHOOK = os.environ["BROKER"], os.environ["WEBHOOK"]

queue = Celery("chord", broker=BROKER, backend=BROKER)
queue.conf.update(worker_prefetch_multiplier=32, result_expires=600)
http = urllib3.PoolManager()


@queue.task(name="process")  # type: ignore[untyped-decorator]  # Celery has no types
def process(payload: str) -> list[int]:
    """Process one packet."""
    return [len(word) for word in payload.split(" ")]


@queue.task(name="collate", ignore_result=True)  # type: ignore[untyped-decorator]
def collate(outputs: list[Any], resource_id: str) -> None:
    """Send the webhook, as Collator would write it."""
    data = {"resource_id": resource_id, "completed_by": "last", "total": len(outputs), "metadata": {}}
    body = {"type": "resource.collated", "timestamp": "", "data": {**data, "outputs": outputs}}
    http.request("POST", WEBHOOK, json=body)


def main() -> None:
    """Send a chord for each resource."""
    queue.connection_for_write().ensure_connection()
    for load in loads():
        for resource_id, payloads in load:
            chord([process.s(payload) for payload in payloads])(collate.s(resource_id))


if __name__ == "__main__":
    main()
