"""P7, for those who could not stop cleanly: long calls that a `kill -9` cut off are soon all under way again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from collator.client import Client
from collator.rules.resource import LedgerLimits
from tests.harness.processors import meeting_on_a_loop
from tests.harness.service import ServiceProcess
from tests.wait import until

PATIENCE = 30.0
CALLS = {"process": 8, "http": 16, "thread": 3, "coroutine": 3}
"""How many calls; those that are made in the process of the service are alone for two seconds each, first."""


@pytest.mark.parametrize("kind", CALLS)
async def test_calls_that_a_kill_has_cut_off_run_side_by_side_again(tmp_path: Path, kind: str) -> None:
    paths = [tmp_path / f"call-{number}" for number in range(CALLS[kind])]
    later, over = tmp_path / "later", tmp_path / "over"
    async with processor(kind) as settings, ServiceProcess(tmp_path / "service", **settings) as service:
        await service.start(concurrency=len(paths) + 1)
        await send(service, paths)
        await until(lambda: all(path.exists() for path in paths), PATIENCE)
        service.kill()
        for path in paths:
            path.unlink()
        await service.start(concurrency=len(paths) + 1)
        await send(service, [later])
        await until(
            lambda: all(path.exists() for path in [*paths, later]), len(paths) * LedgerLimits().alone + PATIENCE
        )
        over.touch()
        async with Client(service.url) as client:
            results = [await client.result(path.name, timeout=PATIENCE) for path in [*paths, later]]
        await service.stop()
    assert [result["outputs"] for result in results] == [[path.name] for path in [*paths, later]]


@asynccontextmanager
async def processor(kind: str) -> AsyncIterator[dict[str, Any]]:
    """The settings of a processor that meets others."""
    if kind != "http":
        function = "meeting_on_a_loop" if kind == "coroutine" else "meeting"
        pool = "process" if kind == "process" else "thread"
        yield {"processor": f"tests.harness.processors:{function}", "pool": pool}
        return
    runner = web.AppRunner(application(), access_log=None, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield {"processor": f"http://127.0.0.1:{runner.addresses[0][1]}/"}
    await runner.cleanup()


def application() -> web.Application:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response(await meeting_on_a_loop(await request.json()))

    app = web.Application()
    app.router.add_post("/", answer)
    return app


async def send(service: ServiceProcess, paths: Sequence[Path]) -> None:
    packets = [{"resource_id": path.name, "index": 0, "payload": [str(path)], "last": True} for path in paths]
    async with aiohttp.ClientSession() as session, session.post(service.url + "/v1/packets", json=packets) as answer:
        assert answer.status == 202
