"""The sender against servers that others wrote: what they say is what it hears."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import pytest
import uvicorn

from collator.egress import Answer, Egress, NoAnswer
from tests.requirements import need
from tests.wait import until

pytestmark = pytest.mark.anyio

SIZES = (0, 2, 300_000, 3_000_000)
LONG = 20.0


async def statuses(url: str, sizes: tuple[int, ...] = SIZES) -> list[int | str]:
    """What each body of *sizes* comes to, one after another on what connections there are."""
    egress = Egress()
    try:
        answers = [await egress.send(url, {"content-type": "a/b"}, bytes(size), timeout=LONG) for size in sizes]
    finally:
        await egress.aclose()
    return [answer.status if isinstance(answer, Answer) else answer.reason for answer in answers]


@contextmanager
def http_server(version: str) -> Iterator[tuple[str, list[int]]]:
    """The standard library's server, and the sizes of the bodies that it got."""
    got: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = version

        def do_POST(self) -> None:
            got.append(len(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204 if self.path == "/none" else 200)
            if self.path != "/none":
                self.send_header("content-length", "2")
            self.end_headers()
            if self.path != "/none":
                self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/none", 204)])
async def test_the_server_of_the_standard_library(version: str, path: str, status: int) -> None:
    with http_server(version) as (url, got):
        assert await statuses(url + path) == [status] * len(SIZES)
        assert got == [*SIZES]


async def test_uvicorn() -> None:
    got: list[int] = []

    async def app(scope: dict[str, Any], receive: Callable[[], Any], send: Callable[[dict[str, Any]], Any]) -> None:
        size, more = 0, True
        while more and scope["path"] != "/early":
            message = await receive()
            size, more = size + len(message.get("body", b"")), message.get("more_body", False)
        got.append(size)
        status = 413 if scope["path"] == "/early" else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"chunks", "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None))
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, [listener])
            await until(lambda: server.started)
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            assert await statuses(url) == [200] * len(SIZES)
            assert got == [*SIZES]
            assert await statuses(url + "/early") == [413] * len(SIZES)
            server.should_exit = True


NGINX = """
{user} daemon off; worker_processes 1; pid {dir}/pid; error_log {dir}/error.log;
events {{ worker_connections 64; }}
http {{
    access_log off; client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    server {{
        listen 127.0.0.1:{port}; keepalive_requests 3; client_max_body_size 1m;
        location / {{ proxy_pass {url}; }}
        location /now {{ return 200 "ok"; }}
    }}
}}
"""


async def test_nginx(tmp_path: Path, free_tcp_port: int) -> None:
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    need(program, "nginx")
    assert program is not None
    with http_server("HTTP/1.1") as (url, got):
        config = tmp_path / "nginx.conf"
        config.write_text(
            NGINX.format(dir=tmp_path, port=free_tcp_port, url=url, user="user root;" if os.geteuid() == 0 else "")
        )
        nginx = subprocess.Popen([program, "-p", str(tmp_path), "-c", str(config)])  # noqa: ASYNC220 - it begins at once
        try:
            egress = Egress()
            front = f"http://127.0.0.1:{free_tcp_port}/"
            with anyio.fail_after(LONG):
                while isinstance(await egress.send(front + "now", {}, b"", timeout=LONG), NoAnswer):
                    await anyio.lowlevel.checkpoint()
            assert await statuses(front, (2, 300_000) * 4) == [200] * 8
            assert got == [2, 300_000] * 4
            refused = await egress.send(front, {}, bytes(32 * 1024 * 1024), timeout=LONG)
            assert isinstance(refused, Answer)
            assert refused.status == 413
            assert "413 Request Entity Too Large" in refused.excerpt
            await egress.aclose()
        finally:
            nginx.terminate()
            nginx.wait()
