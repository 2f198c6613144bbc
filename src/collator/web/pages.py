"""The pages: which path leads to which of them. Starlette's router, on the path as it was sent.

Ids may hold any character, so that a route sees ``%2F`` and not a separator (R1); a page gets the id decoded.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from collator.errors import Malformed
from collator.packet import check_id
from collator.web.health import Health
from collator.web.incoming import REQUEST, Incoming
from collator.web.packets import Packets
from collator.web.resources import Resources

Handler = Callable[..., Awaitable[ASGIApp]]
"""Takes the request and what its path says, by name; gives the answer."""


class Page:
    """One method of one path."""

    def __init__(self, handler: Handler) -> None:
        """Let *handler* answer."""
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        request: Incoming = scope[REQUEST]
        answer = await self._handler(request, **_arguments(scope["path_params"]))
        request.answering = True
        await answer(scope, receive, send)


def make_pages(health: Health, resources: Resources, packets: Packets) -> Router:
    """The router. It raises Starlette's `HTTPException` where a path or a method is unknown."""
    resource = "/v1/resources/{resource_id}"
    routes = [
        Route("/healthz", Page(health.alive), methods=["GET"]),
        Route("/readyz", Page(health.ready), methods=["GET"]),
        Route("/metrics", Page(health.metrics), methods=["GET"]),
        Route(resource, Page(resources.show), methods=["GET"]),
        Route(f"{resource}/outputs", Page(resources.outputs), methods=["GET"]),
        Route(f"{resource}/complete", Page(resources.complete), methods=["POST"]),
        Route(f"{resource}/cancel", Page(resources.cancel), methods=["POST"]),
        Route(f"{resource}/retry", Page(resources.retry), methods=["POST"]),
        Route(resource + "/packets/{index}", Page(packets.put), methods=["PUT"]),
    ]
    return Router(routes, redirect_slashes=False)


def _arguments(found: dict[str, Any]) -> dict[str, str]:
    arguments = {name: _decoded(value) for name, value in found.items()}
    if "resource_id" in arguments:
        check_id(arguments["resource_id"])
    return arguments


def _decoded(segment: str) -> str:
    try:
        return unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        raise Malformed(f"{segment!r} in the path is not UTF-8") from None
