"""Every listener of ours, open, for probes that hold for all of them: a service, and a receiver of webhooks.

A new listener is one more entry of `LISTENERS`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from collator.tokens import Role, Tokens, generate_token, line_for, parse_tokens
from collator.web.host_check import OWN
from collator.web.inbox import Inbox
from collator.web.limits import HttpLimits
from collator.web.routes import ROUTES, Route
from collator.webhook import Received, Reply
from tests.http.listener import Reply as Answer
from tests.http.listener import Wire, connect, open_door, packet, request

ROLES: dict[str, Sequence[Role]] = {
    "send": [Role.SEND],
    "read": [Role.READ],
    "admin": [Role.ADMIN],
    "send and read": [Role.SEND, Role.READ],
    "send and admin": [Role.SEND, Role.ADMIN],
    "all": [*Role],
}
TOKENS = {name: generate_token() for name in ROLES}
PARTS = {"{resource_id}": "r", "{index}": "0", "{delivery_id}": "msg_a:default", "{endpoint}": "default"}


class Listener(NamedTuple):
    """An open port."""

    port: int
    effects: Callable[[], int]
    """How many requests it has acted on."""


def known_tokens() -> Tokens:
    """What a file with `TOKENS` says."""
    return parse_tokens("\n".join(line_for(TOKENS[name], roles=roles, name=name) for name, roles in ROLES.items()))


@asynccontextmanager
async def service(folder: Path, limits: HttpLimits | None = None) -> AsyncIterator[Listener]:
    """A service to which everybody may send."""
    async with open_door(folder, limits=limits) as listener:
        yield Listener(listener.port, lambda: sum(listener.ledger.calls))


@asynccontextmanager
async def app_alone(folder: Path, limits: HttpLimits | None = None) -> AsyncIterator[Listener]:
    """The same, where the app answers all requests, as in a server of others."""
    async with open_door(folder, limits=limits, direct=False) as listener:
        yield Listener(listener.port, lambda: sum(listener.ledger.calls))


@asynccontextmanager
async def receiver(_folder: Path, limits: HttpLimits | None = None) -> AsyncIterator[Listener]:
    """A receiver without a secret, as `collator receive` opens it."""
    taken: list[Received] = []

    async def take(received: Received) -> Reply:
        taken.append(received)
        return Reply(204)

    async with Inbox(take, hosts=OWN, limits=limits, strict=True) as inbox:
        yield Listener(urlsplit(inbox.url).port or 0, lambda: len(taken))


LISTENERS = {"service": service, "app alone": app_alone, "receiver": receiver}
ACT = request("POST", "/v1/packets", json.dumps(packet()).encode())
"""What each of them acts on."""


def path_of(route: Route) -> str:
    """A path of *route*."""
    path = route.path
    for name, value in PARTS.items():
        path = path.replace(name, value)
    assert "{" not in path, f"say in PARTS what {path} stands for"
    return path


def paths() -> dict[str, list[Route]]:
    """The routes of each path that there is."""
    found: dict[str, list[Route]] = {}
    for route in ROUTES:
        found.setdefault(path_of(route), []).append(route)
    return found


class Caller:
    """Who asks again and again, on a connection that is kept as long as the listener keeps it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._opened = AsyncExitStack()
        self._wire: Wire | None = None

    async def ask(self, data: bytes, *, head: bool = False) -> Answer:
        """The answer to the request *data*; *head* where it is a HEAD, whose answer has no body."""
        if self._wire is None:
            self._wire = await connect(self._port)
            self._opened.push_async_callback(self._wire.aclose)
        await self._wire.send(data)
        answer = Answer(*await self._wire.head(), b"") if head else await self._wire.reply()
        if answer.headers.get("connection") == "close" or answer.headers.get("content-type") == "text/event-stream":
            await self.aclose()  # a stream of events has no end
        return answer

    async def aclose(self) -> None:
        """Close."""
        await self._opened.aclose()
        self._wire = None


@asynccontextmanager
async def calling(port: int) -> AsyncIterator[Caller]:
    """Somebody who asks at *port*."""
    caller = Caller(port)
    try:
        yield caller
    finally:
        await caller.aclose()
