"""A receiver of webhooks that keeps every one, and can be down: its port stays its own, so that it comes back there.

Signatures are verified by the library of Standard Webhooks, not by ours.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from aiohttp import web
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from tests.harness.history import Tripwire


class Webhook(NamedTuple):
    """One attempt, as it came in."""

    id: str
    body: bytes
    answer: int = 204
    problem: str = ""
    """What is wrong with its signature."""

    @property
    def taken(self) -> bool:
        """Whether the sender was told that it was received."""
        return 200 <= self.answer < 300


class Sink:
    """Listens on one port of 127.0.0.1 while it is up."""

    def __init__(self, secret: Path, *, answers: Iterable[int] = (), up: bool = True) -> None:
        """Verify with the secret in the file *secret*, read at the first webhook; answer *answers*, then 204."""
        self.webhooks: list[Webhook] = []
        self.arrivals = Tripwire()
        self._secret = secret
        self._verifier: Verifier | None = None
        self._answers = iter(answers)
        self.sorry = ""
        """While this is set, every webhook is answered 503 with this text."""
        self._start_up = up
        self._runner: web.AppRunner | None = None
        self._socket = self._bind(0)
        self._port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}/hook"

    async def __aenter__(self) -> Self:
        if self._start_up:
            await self.up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.down()
        self._socket.close()

    async def up(self) -> None:
        """Take connections."""
        app = web.Application(client_max_size=1 << 30)
        app.router.add_post("/hook", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket).start()

    async def down(self) -> None:
        """Refuse connections; a port that is bound and does not listen does that, and nobody else can have it."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
            self._socket = self._bind(self._port)

    def ids(self) -> set[str]:
        """The ids of all webhooks that were taken."""
        return {webhook.id for webhook in self.webhooks if webhook.taken}

    @staticmethod
    def _bind(port: int) -> socket.socket:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
        return sock

    async def _take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = await request.read()
        answer = 503 if self.sorry else next(self._answers, 204)
        self.webhooks.append(Webhook(headers.get("webhook-id", ""), body, answer, self._verify(body, headers)))
        self.arrivals.touch()
        return web.Response(status=answer, text=self.sorry)

    def _verify(self, body: bytes, headers: dict[str, str]) -> str:
        if self._verifier is None:
            secret = next(line for line in self._secret.read_text().splitlines() if not line.startswith("#"))
            self._verifier = Verifier(secret)
        try:
            self._verifier.verify(body, headers)
        except WebhookVerificationError as error:
            return str(error)
        return ""
