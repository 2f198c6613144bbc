"""CPU and rate of one POST: the sender and aiohttp, in turns, in one run.

    python -m bench.webhook_sender [ROUNDS]

The receiver is a process of its own on loopback. Medians of the rounds; CPU is that of the sending process.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import aiohttp
import uvloop

from collator.egress import Answer, Egress

POSTS, AT_A_TIME = 3200, 16
BODY = b"x" * 400
HEADERS = {
    "content-type": "application/json",
    "user-agent": "collator/0",
    "webhook-id": "msg_" + "a" * 52,
    "webhook-timestamp": "1795485900",
    "webhook-signature": "v1," + "K" * 44,
}
RECEIVER = """
import asyncio, uvloop
class Receiver(asyncio.Protocol):
    def connection_made(self, transport): self.transport, self.left = transport, b""
    def data_received(self, data):
        self.left += data
        while (end := self.left.find(b"\\r\\n\\r\\n") + 4) > 3 and len(self.left) >= end + 400:
            self.left = self.left[end + 400:]
            self.transport.write(b"HTTP/1.1 200 OK\\r\\ndate: Sat, 28 Nov 2026 21:00:00 GMT\\r\\nserver: uvicorn\\r\\n"
                b"content-length: 2\\r\\ncontent-type: application/json\\r\\n\\r\\nok")
async def main():
    server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.sleep(600)
uvloop.run(main())
"""


async def measured(post: Callable[[], Awaitable[int]]) -> tuple[float, float]:
    """CPU µs of a POST, and POSTs per second of CPU time."""

    async def some(number: int) -> None:
        for _ in range(number):
            assert await post() == 200

    await asyncio.gather(*(some(20) for _ in range(AT_A_TIME)))
    began, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(some(POSTS // AT_A_TIME) for _ in range(AT_A_TIME)))
    return (time.process_time() - began) / POSTS * 1e6, POSTS / (time.perf_counter() - wall)


async def ours(url: str) -> tuple[float, float]:
    """By the sender."""
    egress = Egress()

    async def post() -> int:
        answer = await egress.send(url, HEADERS, BODY, timeout=15.0)
        assert isinstance(answer, Answer)
        return answer.status

    found = await measured(post)
    await egress.aclose()
    return found


async def by_aiohttp(url: str) -> tuple[float, float]:
    """As 0.1.0 did."""
    total = aiohttp.ClientTimeout(total=15.0)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
    ) as session:

        async def post() -> int:
            response = await session.post(url, data=BODY, headers=HEADERS, allow_redirects=False, timeout=total)
            await response.content.readany()
            response.release()
            return response.status

        return await measured(post)


def main(rounds: int) -> None:
    """Measure, and tell."""
    with subprocess.Popen([sys.executable, "-c", RECEIVER], stdout=subprocess.PIPE) as receiver:
        assert receiver.stdout is not None
        url = f"http://127.0.0.1:{int(receiver.stdout.readline())}/hook"
        figures: dict[str, list[tuple[float, float]]] = {"sender": [], "aiohttp": []}
        try:
            for _ in range(rounds):
                figures["sender"].append(uvloop.run(ours(url)))
                figures["aiohttp"].append(uvloop.run(by_aiohttp(url)))
        finally:
            with contextlib.suppress(ProcessLookupError):
                receiver.kill()
    for name, found in figures.items():
        cpu = statistics.median(cpu for cpu, _ in found)
        rate = statistics.median(rate for _, rate in found)
        print(f"{name}: {cpu:.0f} µs of CPU a POST, {rate:.0f} POSTs a second, {1e6 / cpu:.0f} a second of CPU")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
