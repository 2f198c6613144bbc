"""A virtual object of Restate for each resource: the packet that completes it sends the webhook.

It runs in the environment of the peers, and imports nothing of Collator. What was acknowledged is in the log of the
server, on the disk; a packet that was begun is tried again. A webhook is tried until it succeeds, and is not signed.
"""

from __future__ import annotations

import os
from typing import Any

import aiohttp
import restate
import uvloop

from bench.peers.feed import feed

WEBHOOK = os.environ["WEBHOOK"]
AT_ONCE = 128
"""Packets that wait for their acknowledgement."""

resource = restate.VirtualObject("Resource")
sessions: list[aiohttp.ClientSession] = []
"""At most one: the connections to the receiver, once there is a loop."""


@resource.handler()  # type: ignore[untyped-decorator]  # not installed where types are checked
async def take(ctx: restate.ObjectContext, packet: dict[str, Any]) -> None:
    """Process one packet; send the webhook where it was the last one that was missing."""
    state = await ctx.get("state") or {"outputs": {}, "total": None}
    state["outputs"][str(packet["index"])] = [len(word) for word in packet["payload"].split(" ")]
    if packet.get("last"):
        state["total"] = packet["index"] + 1
    if len(state["outputs"]) != state["total"]:
        ctx.set("state", state)
        return
    outputs = [state["outputs"][str(index)] for index in range(state["total"])]
    await ctx.run_typed("webhook", send, resource_id=ctx.key(), outputs=outputs)
    ctx.clear("state")


async def send(resource_id: str, outputs: list[Any]) -> None:
    """Send the webhook, as Collator would write it."""
    if not sessions:
        sessions.append(aiohttp.ClientSession())
    data = {"resource_id": resource_id, "completed_by": "last", "total": len(outputs), "metadata": {}}
    body = {"type": "resource.collated", "timestamp": "", "data": {**data, "outputs": outputs}}
    async with sessions[0].post(WEBHOOK, json=body) as answer:
        await answer.read()


app = restate.app([resource])


async def main() -> None:
    """Tell the server where the service is, then send it each packet."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_ONCE)) as http:

        async def post(url: str, body: object) -> None:
            async with http.post(url, json=body) as answer:
                await answer.read()
                answer.raise_for_status()

        async def submit(packet: dict[str, Any]) -> None:
            await post(f"{os.environ['INGRESS']}/Resource/{packet['resource_id']}/take/send", packet)

        await post(f"{os.environ['ADMIN']}/deployments", {"uri": os.environ["SERVICE"]})
        await feed(submit, at_once=AT_ONCE)


if __name__ == "__main__":
    uvloop.run(main())
