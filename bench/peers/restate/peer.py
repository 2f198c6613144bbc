"""The server of Restate, a service in Python behind granian by HTTP/2, and a program that sends packets."""

from __future__ import annotations

import platform
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from tempfile import TemporaryDirectory

from bench.peers.children import MODULES, Peer, client, listening, packets, process, python
from bench.processes import ROOT
from collator.cli.children import free_port

_KINDS = {"x86_64": "x64", "aarch64": "arm64"}
_PACKAGE = f"restate-server-{platform.system().lower()}-{_KINDS.get(platform.machine(), platform.machine())}"
_SERVER = MODULES / "@restatedev" / _PACKAGE / "bin" / "restate-server"
_SETTINGS = {
    "RESTATE_DEFAULT_NUM_PARTITIONS": "4",
    "RESTATE_DEFAULT_JOURNAL_RETENTION": "0s",
    "RESTATE_DISABLE_TELEMETRY": "true",
    "RESTATE_LOG_FILTER": "error",
}


def missing() -> str | None:
    """Why it cannot run here."""
    return None if _SERVER.exists() else "its server is not installed, which make bench-peers does by npm"


@asynccontextmanager
async def start(webhook: str) -> AsyncIterator[Peer]:
    """Start them; the log of the server is on the disk of the checkout."""
    fabric, ingress, admin, service = (free_port() for _ in range(4))
    async with AsyncExitStack() as stack:
        place = stack.enter_context(TemporaryDirectory(prefix="collator-restate-", dir=ROOT))
        bound = {"RESTATE_INGRESS__BIND_PORT": f"{ingress}", "RESTATE_ADMIN__BIND_PORT": f"{admin}"}
        options = ("--listen-mode", "tcp", "--bind-ip", "127.0.0.1", "--bind-port", f"{fabric}", "--base-dir", place)
        command = (str(_SERVER), "--no-logo", "--node-name", "bench", *options)
        serve = ("--interface", "asgi", "--http", "2", "--host", "127.0.0.1", "--port", f"{service}")
        given = {
            "WEBHOOK": webhook,
            **{
                name: f"http://127.0.0.1:{port}"
                for name, port in zip(("INGRESS", "ADMIN", "SERVICE"), (ingress, admin, service), strict=True)
            },
        }
        server = await stack.enter_async_context(process(command, {**_SETTINGS, **bound}))
        serving = await stack.enter_async_context(
            process(python("granian", *serve, "bench.peers.restate.app:app"), given)
        )
        for port, name in ((ingress, "Restate"), (admin, "Restate"), (service, "granian")):
            await listening(port, name)
        submitting = await stack.enter_async_context(client(python("bench.peers.restate.app"), given, packets))
        yield Peer({"client": submitting.pid, "server": server.pid, "service": serving.pid}, submitting.send)
