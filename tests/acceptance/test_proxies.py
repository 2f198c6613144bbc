"""Live streams through real proxies, where they are installed, set up as docs/running.md says."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from collator.cli.children import free_port
from tests.acceptance.programs import PATIENCE, serving
from tests.harness.event_stream import events_of
from tests.http.listener import chunk, connect, ndjson, packet, request, stream_head
from tests.http.sockets import socket as stream_socket
from tests.wait import until_sync

PAGE = (Path(__file__).parents[2] / "docs" / "running.md").read_text("utf-8")
NGINX = """daemon off; pid {here}/pid; error_log {here}/error.log; {user}
events {{}}
http {{ access_log off; client_body_temp_path {here}/a; proxy_temp_path {here}/b;
  fastcgi_temp_path {here}/c; uwsgi_temp_path {here}/d; scgi_temp_path {here}/e;
  server {{ listen 127.0.0.1:{port}; {said} }} }}
"""


def said(language: str) -> str:
    """What the page says in *language*."""
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(block)


@contextmanager
def proxy(here: Path, *command: str, port: int) -> Iterator[int]:
    """A proxy, once it listens on *port*."""
    with (here / "proxy.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)

    def listens() -> bool:
        assert process.poll() is None, (here / "proxy.log").read_text()
        with socket.socket() as trying:
            return trying.connect_ex(("127.0.0.1", port)) == 0

    try:
        until_sync(listens, PATIENCE)
        yield port
    finally:
        process.terminate()
        process.wait(PATIENCE)


@contextmanager
def nginx(here: Path, service: str) -> Iterator[int]:
    port, user = free_port(), "user root;" if os.geteuid() == 0 else ""
    location = said("nginx").replace("127.0.0.1:8000", service)
    (here / "nginx.conf").write_text(NGINX.format(here=here, port=port, user=user, said=location))
    with proxy(here, "nginx", "-p", str(here), "-c", str(here / "nginx.conf"), port=port) as listening:
        yield listening


@contextmanager
def haproxy(here: Path, service: str) -> Iterator[int]:
    port = free_port()
    settings = said("haproxy").replace("127.0.0.1:8000", service).replace("127.0.0.1:8080", f"127.0.0.1:{port}")
    (here / "haproxy.cfg").write_text(settings)
    with proxy(here, "haproxy", "-db", "-f", str(here / "haproxy.cfg"), port=port) as listening:
        yield listening


PROXIES = {"nginx": nginx, "haproxy": haproxy}


@contextmanager
def behind(program: str, here: Path) -> Iterator[int]:
    """A service behind the proxy *program*, at this port."""
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")  # asked of no machine, as nothing of Collator hangs on it
    with (
        serving(here, "--min-free-disk", "1B") as (_, url),
        PROXIES[program](here, urlsplit(url).netloc) as port,
    ):
        yield port


@pytest.mark.parametrize("program", PROXIES)
def test_a_live_stream_gets_each_receipt_at_once_and_has_no_limit_of_size(program: str, tmp_path: Path) -> None:
    with behind(program, tmp_path) as port:
        asyncio.run(stream(port))


async def stream(port: int) -> None:
    wire = await connect(port)
    await wire.send(stream_head("?receipts=all"))
    await wire.send(chunk(ndjson(packet(0))))
    status, _ = await wire.head()
    assert status == 200
    lines = wire.lines()
    for index in range(1, 4):
        assert (await anext(lines))["index"] == index - 1
        await wire.send(chunk(ndjson(packet(index))))
    for index in range(4, 52):
        await wire.send(chunk(ndjson(packet(index, payload="x" * 65_000))))
    await wire.send(chunk(b""))
    last = [line async for line in lines][-1]
    assert (last["done"], last["accepted"]) == (True, 52)
    await wire.aclose()


@pytest.mark.parametrize("program", PROXIES)
def test_events_pass_at_once(program: str, tmp_path: Path) -> None:
    with behind(program, tmp_path) as port:
        asyncio.run(live(port))


async def live(port: int) -> None:
    wire, sender = await connect(port), await connect(port)
    await wire.send(request("GET", "/v1/resources/r/events"))
    assert (await wire.head())[0] == 200
    events = events_of(wire.chunks())
    for index in range(3):
        await sender.send(request("POST", "/v1/packets", json.dumps(packet(index, last=index == 2)).encode()))
        assert (await sender.reply()).status == 202
        assert (await anext(events)).data["index"] == index
    assert [event.kind async for event in events] == ["end"]
    for each in (wire, sender):
        await each.aclose()


@pytest.mark.parametrize("program", PROXIES)
def test_messages_of_a_websocket_pass_at_once_in_both_directions(program: str, tmp_path: Path) -> None:
    with behind(program, tmp_path) as port:
        asyncio.run(spoken(port))


async def spoken(port: int) -> None:
    async with stream_socket(port) as client:
        assert (await client.start(outcomes=True))["next_index"] == 0
        for index in range(3):
            await client.binary(b"x" * 200_000)
            assert (await client.stored(index))["packets"] == index + 1
        await client.say("stop", total=3)
        heard = await client.until("end")
        assert heard[-1]["state"] == "collated"
