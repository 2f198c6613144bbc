"""A child of the bench: an endpoint behind the same listener, which decodes one packet, keeps nothing and answers 202.

What single packets cost beyond this is what Collator does with them. It ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import uvloop

from collator.packet import PacketLimits
from collator.web.server import serve
from collator.wire import decode_packet

Message = MutableMapping[str, Any]
"""Of ASGI; a scope looks the same."""

_BODY = b'{"resource_id":"run-1-0001","index":0,"status":"accepted"}'
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_BODY))]
_BOUNDS = PacketLimits()


async def bare(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """The endpoint, an ASGI application."""
    del scope
    message = await receive()
    body = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    decode_packet(body, _BOUNDS)
    await send({"type": "http.response.start", "status": 202, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})


async def main() -> None:
    """Say which port, then serve until the standard input ends."""
    async with serve(bare, port=0) as door:
        print(door.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main())
