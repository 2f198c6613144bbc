"""Clients that take what they can get: each does one greedy thing, again and again, for some seconds.

    python bench/greedy_clients.py NAME PORT SECONDS

They come from 127.0.0.2, so that the service can tell them from others. What was answered is printed, by status.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable

MIB = 1024 * 1024
PEER = ("127.0.0.2", 0)
PREPARING = 120.0
REFUSED = 0.5
"""Seconds until it tries again: it is greedy, and no flood of requests, which is the matter of a proxy."""
UNCONNECTED = 0.1
"""Seconds until it tries again where there was no connection."""
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Greedy:
    """The input of a client, and the answers that it got."""

    def __init__(self, port: int, seconds: float) -> None:
        """Ask the service at *port* for *seconds*."""
        self.port = port
        self.seconds = seconds
        self.end = time.monotonic() + PREPARING
        self.answers: Counter[str] = Counter()
        self.number = 0

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return max(0.0, self.end - time.monotonic())

    async def begin(self) -> None:
        """Say that it begins: what it needs is there, and processed."""
        await asyncio.sleep(3.0)
        print("begins", flush=True)
        self.answers.clear()
        self.end = time.monotonic() + self.seconds

    def name(self) -> str:
        """An id that was not used before."""
        self.number += 1
        return f"greedy-{self.number}"

    async def connect(self) -> Connection | None:
        """A connection of its own; `None`, which is counted and takes its time, where there is none."""
        try:
            return await asyncio.open_connection("127.0.0.1", self.port, local_addr=PEER, limit=MIB)
        except OSError:
            self.answers["no connection"] += 1
            await asyncio.sleep(UNCONNECTED)
            return None

    async def ask(self, method: str, path: str, body: bytes = b"", media_type: str = "application/json") -> bytes:
        """Ask once, on a new connection; the answer, whose status is counted."""
        head = f"{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: {media_type}\r\n"
        connection = await self.connect()
        if connection is None:
            return b""
        reader, writer = connection
        with contextlib.suppress(OSError):
            writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
        answer = b""
        with contextlib.suppress(OSError):
            answer = await reader.read(-1)
        writer.close()
        self.answers[answer[9:12].decode() or "none"] += 1
        if answer[9:12] in {b"429", b"503"}:
            await asyncio.sleep(REFUSED)
        return answer

    async def again(self, what: Callable[[], Awaitable[object]], at_a_time: int) -> None:
        """Do it again and again, *at_a_time*."""

        async def one() -> None:
            while self.left:
                await what()

        async with asyncio.timeout(self.left + 5.0):
            await asyncio.gather(*(one() for _ in range(at_a_time)))

    async def hold(self, head: bytes, number: int, more: bytes = b"", *, kept: bool = False) -> None:
        """Hold *number* connections that have said *head*, and say *more* now and then; open anew what is closed.

        With the answer a connection has ended, unless it is *kept*.
        """

        async def one() -> None:
            while self.left:
                connection = await self.connect()
                if connection is None:
                    continue
                reader, writer = connection
                with contextlib.suppress(OSError, TimeoutError):
                    writer.write(head)
                    await self._said(reader, writer, more, kept=kept)
                writer.close()
                await asyncio.sleep(REFUSED)

        await asyncio.gather(*(one() for _ in range(number)))

    async def _said(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, more: bytes, *, kept: bool
    ) -> None:
        while self.left:
            try:
                async with asyncio.timeout(min(2.0, self.left + 0.1)):
                    answer = await reader.read(4096)
            except TimeoutError:
                writer.write(more)
                continue
            self.answers[answer[9:12].decode() or "closed"] += 1
            if not (answer and kept):
                return


def packet(resource_id: str, index: int, payload: str, **more: object) -> bytes:
    """A packet with *payload* as it stands."""
    rest = "".join(f",{json.dumps(name)}:{json.dumps(value)}" for name, value in more.items())
    return f'{{"resource_id":{json.dumps(resource_id)},"index":{index},"payload":{payload}{rest}}}'.encode()


NEST = "[" * 127 + "]" * 127
NESTS = "[" + ",".join([NEST[1:-1]] * (MIB // len(NEST) - 1)) + "]"
FLOATS = "[" + ",".join(["2.2250738585072011e-308"] * (MIB // 24 - 1)) + "]"
NDJSON = "application/x-ndjson"


async def long_names(greedy: Greedy) -> None:
    """Streams of lines with a member whose name has 1 MB."""
    line = b'{"' + b"x" * 1_000_000 + b'":1}\n'
    await greedy.again(lambda: greedy.ask("POST", "/v1/packets", line * 40, NDJSON), 2)


async def nests(greedy: Greedy) -> None:
    """Payloads of 1 MiB that are nested as deep as may be."""
    await greedy.again(lambda: greedy.ask("POST", "/v1/packets", packet(greedy.name(), 0, NESTS)), 2)


async def floats(greedy: Greedy) -> None:
    """Payloads of 1 MiB of numbers near the smallest."""
    await greedy.again(lambda: greedy.ask("POST", "/v1/packets", packet(greedy.name(), 0, FLOATS)), 2)


async def the_same(greedy: Greedy) -> None:
    """One packet of 1 MiB, repeated: a duplicate each time."""
    body = packet("greedy", 0, NESTS)
    await greedy.again(lambda: greedy.ask("POST", "/v1/packets", body), 2)


async def nested_arrays(greedy: Greedy) -> None:
    """Arrays of 15 such packets."""

    def body() -> bytes:
        return b"[" + b",".join(packet(greedy.name(), 0, NESTS) for _ in range(15)) + b"]"

    await greedy.again(lambda: greedy.ask("POST", "/v1/packets", body()), 2)


async def wrong_lines(greedy: Greedy) -> None:
    """Streams of lines that are no packets."""
    await greedy.again(lambda: greedy.ask("POST", "/v1/packets", b"{}\n" * (MIB // 3), NDJSON), 2)


async def large_arrays(greedy: Greedy) -> None:
    """Forty arrays of 15 MiB at a time."""
    text = json.dumps("x" * (MIB - 200))

    def body() -> bytes:
        return b"[" + b",".join(packet(greedy.name(), 0, text) for _ in range(15)) + b"]"

    await greedy.again(lambda: greedy.ask("POST", "/v1/packets", body()), 40)


async def small_packets(greedy: Greedy) -> None:
    """Arrays of as many packets as 15 MiB hold."""
    rows = b",".join(b'{"resource_id":"small","index":%d,"payload":1}' % index for index in range(330_000))
    await greedy.again(lambda: greedy.ask("POST", "/v1/packets", b"[" + rows + b"]"), 4)


async def large_outputs(greedy: Greedy) -> None:
    """Packets of 50 bytes, behind many quick ones, whose outputs have 1 MiB."""
    quick = b"".join(packet(f"quick-{n}", i, "1") + b"\n" for n in range(400) for i in range(100))
    await greedy.ask("POST", "/v1/packets", quick, NDJSON)

    async def more() -> None:
        name = greedy.name()
        await greedy.ask("POST", "/v1/packets", b"".join(packet(name, i, '"large"') + b"\n" for i in range(50)), NDJSON)

    await greedy.again(more, 4)


async def metadata(greedy: Greedy) -> None:
    """A new resource a line, each with 4 KiB of metadata."""
    text = "m" * 4000

    def body() -> bytes:
        return b"".join(packet(greedy.name(), 0, "1", metadata={"m": text}) + b"\n" for _ in range(500))

    await greedy.again(lambda: greedy.ask("POST", "/v1/packets", body(), NDJSON), 2)


async def pages(greedy: Greedy) -> None:
    """The page of a resource with 200,000 gaps, forty at a time."""
    await _gaps(greedy, "gaps", 200_000)
    await greedy.begin()
    await greedy.again(lambda: greedy.ask("GET", "/v1/resources/gaps"), 40)


async def deletions(greedy: Greedy) -> None:
    """Resources with 50,000 gaps, made and purged."""

    async def one() -> None:
        name = greedy.name()
        await _gaps(greedy, name, 50_000)
        await greedy.ask("POST", f"/v1/resources/{name}/cancel")
        await greedy.ask("DELETE", f"/v1/resources/{name}")

    await greedy.again(one, 2)


async def _gaps(greedy: Greedy, name: str, number: int) -> None:
    lines = b"".join(packet(name, 2 * index, "1") + b"\n" for index in range(number))
    await greedy.ask("POST", "/v1/packets", lines, NDJSON)


async def silent(greedy: Greedy) -> None:
    """A thousand connections that say nothing."""
    await greedy.hold(b"", 1000)


async def idle(greedy: Greedy) -> None:
    """A thousand connections, kept after one request."""
    await greedy.hold(b"GET /v1/status HTTP/1.1\r\nhost: localhost\r\n\r\n", 1000, kept=True)


async def slow_bodies(greedy: Greedy) -> None:
    """Six hundred requests that come a byte at a time."""
    head = (
        b"POST /v1/packets HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        b"content-length: 100000\r\n\r\n"
    )
    await greedy.hold(head, 600, b" ")


async def streams(greedy: Greedy) -> None:
    """Two hundred streams that are kept open."""
    head = (
        b"POST /v1/packets HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n"
        b"transfer-encoding: chunked\r\n\r\n"
    )
    await greedy.hold(head, 200, b"1\r\n\n\r\n")


async def waits(greedy: Greedy) -> None:
    """Four hundred that wait for news of a resource."""
    await greedy.ask("POST", "/v1/packets", packet("waited", 1, "1"))
    await greedy.begin()
    await greedy.again(lambda: greedy.ask("GET", "/v1/resources/waited/outputs?after_seq=1&wait=30"), 400)


async def unread(greedy: Greedy) -> None:
    """Answers of which a few bytes are read now and then."""
    await _gaps(greedy, "unread", 100_000)
    await greedy.begin()
    head = b"GET /v1/resources/unread/outputs?limit=1000 HTTP/1.1\r\nhost: localhost\r\n\r\n"

    async def one() -> None:
        connection = await greedy.connect()
        if connection is None:
            return
        reader, writer = connection
        with contextlib.suppress(OSError):
            writer.write(head * 50)
            while greedy.left and await reader.read(600):
                await asyncio.sleep(4.0)
        greedy.answers["over"] += 1
        writer.close()

    await greedy.again(one, 60)


async def ends(greedy: Greedy) -> None:
    """Forty thousand resources whose idle timeout ends, again and again."""

    def body() -> bytes:
        return b"".join(packet(greedy.name(), 1, "1") + b"\n" for _ in range(40_000))

    async def one() -> None:
        await greedy.ask("POST", "/v1/packets", body(), NDJSON)
        await asyncio.sleep(4.0)

    await greedy.again(one, 1)


CLIENTS = {
    client.__name__: client
    for client in (
        long_names, nests, floats, the_same, nested_arrays, wrong_lines, large_arrays, small_packets, large_outputs,
        metadata, pages, deletions, silent, idle, slow_bodies, streams, waits, unread, ends,
    )
}  # fmt: skip

PREPARED = {"pages", "waits", "unread"}
"""Those that begin once what they need is there."""


async def run(name: str, port: int, seconds: float) -> None:
    """Let the client *name* do its work, and print what it was answered."""
    greedy = Greedy(port, seconds)
    if name not in PREPARED:
        await greedy.begin()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PREPARING + seconds + 10.0):
            await CLIENTS[name](greedy)
    print(json.dumps(greedy.answers))


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
