"""Clients of `/v1/stream` for tests: one that speaks as a library does, and frames for one that does not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close, Opcode
from websockets.utils import apply_mask

from tests.http.listener import PATIENCE, Wire, request

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
"""As in RFC 6455, 1.3."""
_KEY = b"\x01\x80\xff\x00"
ANSWER = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


class Socket:
    """One connection."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def say(self, type_: str, **members: object) -> Self:
        await self.connection.send(json.dumps({"type": type_, **members}))
        return self

    async def binary(self, *messages: bytes) -> None:
        for message in messages:
            await self.connection.send(message)

    async def hear(self) -> Any:  # noqa: ANN401 - JSON may be anything
        """The next message."""
        async with asyncio.timeout(PATIENCE):
            return json.loads(await self.connection.recv())

    async def until(self, type_: str) -> list[Any]:
        """The messages up to the first of this type."""
        heard = [await self.hear()]
        while heard[-1]["type"] != type_:
            heard.append(await self.hear())
        return heard

    async def start(self, resource_id: str | int = "r", **members: object) -> Any:  # noqa: ANN401 - JSON may be anything
        """The answer to a `start`."""
        await self.say("start", resource_id=resource_id, **members)
        return await self.hear()

    async def stored(self, through: int) -> Any:  # noqa: ANN401 - JSON may be anything
        """The acknowledgement of all up to this index."""
        while (heard := await self.hear())["type"] != "ack" or heard["through"] < through:
            pass
        return heard

    async def closed(self) -> tuple[int, str, list[Any]]:
        """The code and the reason of the close, and the messages before it."""
        heard = []
        try:
            while True:
                heard.append(await self.hear())
        except ConnectionClosed as end:
            close = end.rcvd or Close(1006, "")
            return close.code, close.reason, heard


@asynccontextmanager
async def socket(port: int, token: str = "", **more: Any) -> AsyncIterator[Socket]:  # noqa: ANN401 - as `connect` has it
    """A connection to the stream of the listener at *port*."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    opened = connect(f"ws://127.0.0.1:{port}/v1/stream", additional_headers=headers, proxy=None, max_size=None, **more)
    async with opened as connection:
        yield Socket(connection)


def handshake(method: str = "GET", path: str = "/v1/stream", body: bytes | None = None, **more: str) -> bytes:
    """A request that offers WebSocket; *more* are fields, empty ones are left out."""
    fields = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec_websocket_version": "13",
        "sec_websocket_key": KEY,
        **more,
    }
    return request(method, path, body, **{name: value for name, value in fields.items() if value})


async def offered(wire: Wire) -> None:
    """Open the stream on *wire*, by hand."""
    await wire.send(handshake())
    status, headers = await wire.head()
    assert (status, headers["sec-websocket-accept"]) == (101, ANSWER)


def frame(data: bytes | object, opcode: Opcode = Opcode.TEXT, *, fin: bool = True, mask: bool = True) -> bytes:
    """A frame as a client sends it."""
    payload = data if isinstance(data, bytes) else json.dumps(data).encode()
    size, masked = len(payload), 0x80 if mask else 0
    if size < 126:
        length = bytes([masked | size])
    elif size < 1 << 16:
        length = bytes([masked | 126]) + size.to_bytes(2)
    else:
        length = bytes([masked | 127]) + size.to_bytes(8)
    head = bytes([opcode | (0x80 if fin else 0)]) + length
    return head + _KEY + apply_mask(payload, _KEY) if mask else head + payload


async def read_frame(wire: Wire) -> tuple[Opcode, bytes]:
    """The next frame from the service."""
    async with asyncio.timeout(PATIENCE):
        first, size = await wire.reader.readexactly(2)
        if size > 125:
            size = int.from_bytes(await wire.reader.readexactly(2 if size == 126 else 8))
        return Opcode(first & 15), await wire.reader.readexactly(size)


async def read_close(wire: Wire) -> tuple[int, list[bytes]]:
    """The code of the close, and the messages before it."""
    heard = []
    while (read := await read_frame(wire))[0] is not Opcode.CLOSE:
        heard.append(read[1])
    return int.from_bytes(read[1][:2]), heard
