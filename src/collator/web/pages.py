"""The pages: which handler answers each route. Starlette's router, on the path as it was sent.

Ids may hold any character, so that a route sees ``%2F`` and not a separator (R1); a handler gets what the path and the
query say, read by their declarations, under their names.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple

from starlette import routing
from starlette.types import Receive, Scope, Send

from collator.web.audit import Audit
from collator.web.auth import Auth, check_reach, check_unrestricted
from collator.web.deliveries import Deliveries
from collator.web.endpoints import Endpoints
from collator.web.events import Events
from collator.web.health import Health
from collator.web.openapi import Description
from collator.web.options import read_query
from collator.web.outputs import Outputs
from collator.web.packet_page import PacketPage
from collator.web.packet_socket import PacketSockets
from collator.web.packets import WholePackets
from collator.web.request_body import MUCH, READS, REQUEST, HttpAnswer, RequestBody
from collator.web.resources import Resources
from collator.web.retries import Retries
from collator.web.routes import POST_PACKETS, ROUTES, Route
from collator.web.routes.parts import read_path
from collator.web.service_events import ServiceEvents
from collator.web.tickets import Tickets

PageHandler = Callable[..., Awaitable[HttpAnswer | None]]
"""Takes the request and what its path and query say, by name; gives the answer. That of a stream takes `send` too, and
writes the answer itself."""


_PART = re.compile(r"\\{\w+\\}")  # as `re.escape` writes what varies in a path


class Handlers(NamedTuple):
    """The objects whose methods answer."""

    health: Health
    resources: Resources
    retries: Retries
    deliveries: Deliveries
    endpoints: Endpoints
    outputs: Outputs
    events: Events
    tickets: Tickets
    service_events: ServiceEvents
    packet_page: PacketPage
    packets: WholePackets
    sockets: PacketSockets
    description: Description
    audit: Audit

    def by_route(self) -> Mapping[str, PageHandler]:
        """The handler of each route, by the name of the route."""
        return {
            "putPacket": self.packets.put,
            "openStream": self.sockets.open,
            "listResources": self.resources.index,
            "getResource": self.resources.show,
            "getOutputs": self.outputs.show,
            "getEvents": self.events.follow,
            "createTicket": self.tickets.create,
            "getPacket": self.packet_page.show,
            "completeResource": self.resources.complete,
            "cancelResource": self.resources.cancel,
            "retryResource": self.retries.retry,
            "retryResources": self.retries.retry_many,
            "purgeResource": self.resources.purge,
            "listDeliveries": self.deliveries.index,
            "replayDeliveries": self.deliveries.replay_many,
            "getDelivery": self.deliveries.show,
            "replayDelivery": self.deliveries.replay,
            "stopDelivery": self.deliveries.stop,
            "listEndpoints": self.endpoints.index,
            "pauseEndpoint": self.endpoints.pause,
            "resumeEndpoint": self.endpoints.resume,
            "tryEndpoint": self.endpoints.try_now,
            "testEndpoint": self.endpoints.test,
            "listAudit": self.audit.index,
            "getHealth": self.health.alive,
            "getReadiness": self.health.ready,
            "getStatus": self.health.status,
            "getServiceEvents": self.service_events.follow,
            "getMetrics": self.health.metrics,
            "getDescription": self.description.show,
        }


class Page:
    """One path: a route and its handler for each method."""

    def __init__(self, auth: Auth) -> None:
        """Answer nothing yet; check roles by *auth*."""
        self._auth = auth
        self._methods: dict[str, tuple[Route, PageHandler]] = {}

    def add(self, route: Route, handler: PageHandler) -> None:
        """Let *handler* answer *route*."""
        self._methods[route.method] = route, handler

    @property
    def methods(self) -> list[str]:
        """The methods that are answered; HEAD, which comes with GET, aside."""
        return [*self._methods]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        request: RequestBody = scope[REQUEST]
        route, handler = self._methods["GET" if scope["method"] == "HEAD" else scope["method"]]
        self._auth.require(request.caller, route.role)
        said = read_path(scope["path_params"]) | read_query(route.options, scope["query_string"])
        if "resource_id" in scope["path_params"]:
            check_reach(request.caller, [said["resource_id"]])
        elif not route.own:
            check_unrestricted(request.caller)
        answer = await (handler(request, send, **said) if route.is_stream else handler(request, **said))
        if answer is None:
            return
        request.release()  # of the body that it came with; the answer counts until the client has taken it
        if len(answer.body) > MUCH:
            # What a verb has changed is done, and no answer may deny it.
            count = request.hold if scope["method"] in READS else request.keep
            count(len(answer.body))
        request.answering = True
        await answer(scope, receive, send)


def methods_at(path: str) -> Sequence[str]:
    """The methods that *path* takes, in order; those of the routes that have it word by word, where there are any."""
    found = {route.method for route in ROUTES if route.path == path}
    found = found or {route.method for route in ROUTES if re.fullmatch(_PART.sub("[^/]+", re.escape(route.path)), path)}
    return sorted(found | ({"HEAD"} if "GET" in found else set()))


def make_pages(handlers: Handlers, auth: Auth) -> routing.Router:
    """The router of all routes but `POST_PACKETS`.

    It raises Starlette's `HTTPException` where a path or a method is unknown.
    """
    by_route = handlers.by_route()
    pages: dict[str, Page] = {}
    for route in ROUTES:
        if route is not POST_PACKETS:  # the hot path, which `app` takes before it comes here
            pages.setdefault(route.path, Page(auth)).add(route, by_route[route.name])
    routes = [routing.Route(path, page, methods=page.methods) for path, page in pages.items()]
    return routing.Router(routes, redirect_slashes=False)
