"""The behaviours of these tests as an HTTP service."""

from __future__ import annotations

import msgspec

from tests.receiver import Request, Script, reply
from tests.workers import behaviours


async def answer(request: Request) -> Script:
    """Answer *request*, whose body is the payload."""
    payload = msgspec.json.decode(request.body, type=behaviours.Payload)
    try:
        output = repr(await behaviours.coroutine(payload))
        return reply(200, "content-type: application/json", body=output.encode())
    except ValueError as error:
        return reply(500, body=str(error).encode())
