"""P5 in a group of processes that may have 512 MB of memory: what is large is never held as a whole."""

from __future__ import annotations

import asyncio
import base64
import hmac
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import anyio
import pytest

from tests.harness.note import note
from tests.harness.service import ServiceProcess
from tests.wait import until

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("memory")]  # one at a time

MEBIBYTE = 1024 * 1024
BODIES = 8
OUTPUTS = 45
ROOM = 40 * MEBIBYTE
"""Bytes that all webhooks together may take beside a service that does nothing."""


class Taker:
    """A receiver that reads on only once it is let, and keeps the size of each body that its signature is of."""

    def __init__(self) -> None:
        self.begun = 0
        self.sizes: list[int] = []
        self.let = asyncio.Event()
        self.key = b""
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=256 * 1024)
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())  # type: ignore[arg-type]
        try:
            await self._take(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        head = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        self.begun += 1
        await self.let.wait()
        mac = hmac.new(self.key, f"{head['webhook-id']}.{head['webhook-timestamp']}.".encode(), "sha256")
        left = size = int(head["content-length"])
        while left and (data := await reader.read(256 * 1024)):
            mac.update(data)
            left -= len(data)
        if not left and head["webhook-signature"] == f"v1,{base64.b64encode(mac.digest()).decode()}":
            self.sizes.append(size)
        writer.write(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
        await writer.drain()


def resident(pid: int) -> int:
    """Bytes of memory of its own that the process has."""
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")


async def test_p5_eight_webhooks_of_45_mib_at_a_time_fit_into_a_small_machine(
    tmp_path: Path, under: Sequence[str]
) -> None:
    handler = Taker()
    config = tmp_path / "collator.toml"
    async with handler.listening() as url:
        table = '[endpoints.e{0}]\nurl = "{1}"\nmatch = "r{0}"\ntimeout = "60s"\n'
        config.write_text("".join(table.format(number, url) for number in range(BODIES)))
        async with ServiceProcess(
            tmp_path, processor="tests.harness.processors:enlarge", drain_timeout=1, config=config
        ) as service:
            del service.settings["webhook"]
            await service.start(under=under)
            for number in range(BODIES):
                await fill(service, f"r{number}")
            await until(lambda: handler.begun == BODIES, 30.0)
            await service.stop()
            handler.begun = 0
            handler.key = base64.b64decode(service.secret.read_text().rpartition("whsec_")[2])
            await service.start(under=under)
            idle = resident(service.pid())
            await until(lambda: handler.begun == BODIES, 30.0)
            most = [resident(service.pid())]
            handler.let.set()
            while len(handler.sizes) < BODIES and len(most) < 3000:
                most.append(resident(service.pid()))
                with anyio.move_on_after(0.01):
                    await anyio.sleep_forever()
            note(f"{idle / MEBIBYTE:.0f} MiB before, {max(most) / MEBIBYTE:.0f} at most, of bodies of {handler.sizes}")
            assert min(handler.sizes) > OUTPUTS * MEBIBYTE * 0.99
            assert max(most) - idle < ROOM
            await service.stop()


async def fill(service: ServiceProcess, resource_id: str) -> None:
    """Have a resource end whose webhook has `OUTPUTS` outputs of nearly a MiB."""
    lines = "".join(
        f'{{"resource_id":"{resource_id}","index":{index},"total":{OUTPUTS},"payload":{MEBIBYTE - 2048}}}\n'
        for index in range(OUTPUTS)
    )
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            f"{service.url}/v1/packets", data=lines, headers={"content-type": "application/x-ndjson"}
        ) as answer,
    ):
        assert answer.status == 200, await answer.text()
    ended = False
    while not ended:
        ended = (await service.get(f"/v1/resources/{resource_id}"))[2]["state"] == "collated"
