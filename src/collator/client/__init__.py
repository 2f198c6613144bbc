"""The sender's side: give packets to a service, and know of each what became of it.

    async with Client("http://127.0.0.1:8000") as client:
        await client.send([{"resource_id": "call-17", "index": 0, "payload": "hello", "last": True}])

What was not acknowledged is sent again: a repeat is harmless (R5). What the service will never take is gathered and
raised as `Rejected` when everything else has been acknowledged.
"""

from __future__ import annotations

from collator.client.answer import Unreachable
from collator.client.batch import Packets, Rejection, Tally
from collator.client.client import Client
from collator.client.live_stream import LiveStream
from collator.client.sync import SyncClient, send
from collator.client.verbs import Rejected, Verbs

__all__ = [
    "Client",
    "LiveStream",
    "Packets",
    "Rejected",
    "Rejection",
    "SyncClient",
    "Tally",
    "Unreachable",
    "Verbs",
    "send",
]
