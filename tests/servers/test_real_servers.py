"""What real servers did to packets that were not to blame, each as a test with that server (R27, R28, R29).

The table is that of issue 11: on 0.1.0 every one of these lost work.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from collator.client import Client
from collator.service import open_service
from collator.settings import Settings
from tests.servers.server import Server, serving
from tests.wait import until

SERVICE = r"""
import asyncio

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, StreamingResponse
from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from slowapi.util import get_remote_address

app = FastAPI()
app.state.limiter = limiter = Limiter(key_func=get_remote_address)
app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)


@app.post("/slow")
async def slow() -> str:
    await asyncio.sleep(0.1)
    return "done"


@app.post("/limited")
@limiter.limit("5/10seconds")
async def limited(request: Request) -> str:
    return "done"


@app.post("/text", response_class=PlainTextResponse)
async def text(request: Request) -> str:
    return (await request.json()).upper()


async def tokens():
    for word in ("HEL", "LO"):
        yield '{"response": "%s"}\n' % word


@app.post("/ndjson")
async def ndjson() -> StreamingResponse:
    return StreamingResponse(tokens(), media_type="application/x-ndjson")


@app.post("/untyped")
async def untyped() -> StreamingResponse:
    return StreamingResponse(tokens())
"""
UVICORN = "uvicorn --log-level warning --port {port} service:app"
LITSERVE = """
import litserve


class Shout(litserve.LitAPI):
    def setup(self, device):
        pass

    def decode_request(self, request):
        return request["input"]

    def predict(self, text):
        return text.upper()

    def encode_response(self, output):
        return {"output": output}


if __name__ == "__main__":
    litserve.LitServer(Shout(), accelerator="cpu").run(host="127.0.0.1", port=PORT, generate_client_file=False)
"""


@asynccontextmanager
async def uvicorn(home: Path, port: int, *options: str) -> AsyncIterator[Server]:
    (home / "service.py").write_text(SERVICE, "utf-8")
    async with serving(home, " ".join([UVICORN.format(port=port), *options]), port) as server:
        yield server


@asynccontextmanager
async def collating(home: Path, processor: str, **options: Any) -> AsyncIterator[Client]:  # noqa: ANN401 - settings
    settings = Settings(processor=processor, port=0, webhook="none", data_dir=home / "data", **options)
    async with open_service(settings) as opened, Client(opened.url) as client:
        yield client


async def send(client: Client, *payloads: object) -> None:
    last = len(payloads) - 1
    await client.send(
        [
            {"resource_id": "r", "index": index, "payload": payload, "last": index == last}
            for index, payload in enumerate(payloads)
        ]
    )


async def ended(client: Client, timeout: float = 60.0) -> Mapping[str, Any]:
    """The result of the resource that was sent, whose packets all have outputs."""
    result = await client.result("r", timeout=timeout)
    assert "outputs" in result, result
    return result


async def test_a_restart_of_eight_seconds_costs_no_packet(tmp_path: Path, free_tcp_port: int) -> None:
    async with uvicorn(tmp_path, free_tcp_port) as server, collating(tmp_path, f"{server.url}/slow") as client:
        await send(client, *range(100))
        await until(lambda: _done(client, 10), 20.0)
        server.kill()
        killed = time.monotonic()
        await until(lambda: time.monotonic() - killed > 8.0, 20.0)
        await server.start()
        assert len((await ended(client))["outputs"]) == 100


async def test_a_limit_of_connections_is_kept_to(tmp_path: Path, free_tcp_port: int) -> None:
    async with (
        uvicorn(tmp_path, free_tcp_port, "--limit-concurrency", "8") as server,
        collating(tmp_path, f"{server.url}/slow", concurrency=32) as client,
    ):
        await send(client, *range(100))
        assert len((await ended(client))["outputs"]) == 100


async def test_a_limit_of_calls_in_a_time_is_waited_for(tmp_path: Path, free_tcp_port: int) -> None:
    async with uvicorn(tmp_path, free_tcp_port) as server, collating(tmp_path, f"{server.url}/limited") as client:
        await send(client, *range(10))
        assert (await ended(client))["outputs"] == ["done"] * 10


async def test_a_wrong_path_is_told_and_costs_no_packet(tmp_path: Path, free_tcp_port: int) -> None:
    async with uvicorn(tmp_path, free_tcp_port) as server, collating(tmp_path, f"{server.url}/wrong") as client:
        await send(client, *range(5))
        await until(lambda: _refused(client, "HTTP 404"), 20.0)
    async with uvicorn(tmp_path, free_tcp_port), collating(tmp_path, f"{server.url}/slow") as client:
        assert (await ended(client))["outputs"] == ["done"] * 5


async def test_a_wrong_key_is_told_and_counts_as_soon_as_its_file_is_mended(tmp_path: Path, free_tcp_port: int) -> None:
    (tmp_path / "service.py").write_text(LITSERVE.replace("PORT", str(free_tcp_port)), "utf-8")
    headers = tmp_path / "headers"
    headers.write_text("X-API-Key: the-wrong-one\n")
    headers.chmod(0o600)
    async with (
        serving(tmp_path, "LIT_SERVER_API_KEY=the-key python service.py", free_tcp_port) as server,
        collating(
            tmp_path,
            f"{server.url}/predict",
            processor_request='{"input": "{{payload}}"}',
            processor_output="/output",
            processor_headers_file=headers,
        ) as client,
    ):
        await send(client, "hello", "world")
        await until(lambda: _refused(client, "HTTP 401"), 20.0)
        headers.write_text("X-API-Key: the-key\n")
        assert (await ended(client))["outputs"] == ["HELLO", "WORLD"]


async def test_texts_stay_texts_and_streams_are_named(tmp_path: Path, free_tcp_port: int) -> None:
    async with uvicorn(tmp_path, free_tcp_port) as server:
        async with collating(tmp_path, f"{server.url}/text") as client:
            await send(client, "hello", "42")
            assert (await ended(client))["outputs"] == ["HELLO", "42"]
        for path, named in ("ndjson", "application/x-ndjson"), ("untyped", "lines of JSON"):
            home = tmp_path / path
            async with collating(home, f"{server.url}/{path}", processor_retries=0) as client:
                await send(client, "hello")
                (failed,) = (await client.result("r", timeout=20.0))["failed"]
                assert failed["reason"] == (
                    f'output: the service streams ({named}); have it answer at once, often by "stream": false'
                )


async def _done(client: Client, number: int) -> bool:
    return bool((await client.resource("r"))["done"] >= number)


async def _refused(client: Client, words: str) -> bool:
    """Whether the service says that nothing gets through, and why; no packet has failed."""
    resource = await client.resource("r")
    assert (resource["state"], resource["failed"]) == ("open", 0)
    return words in str(await client.status())
