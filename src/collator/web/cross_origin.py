"""Reads by pages of other origins that the settings allow: CORS (Fetch Standard, 3.2). Pure.

Origins are compared word by word; there is no wildcard, and no credentials of a browser (cookies) are allowed. What
changes anything stays refused, and so do pages of all other origins (`host_check`).
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import Any

from starlette.types import Send

from collator.web.request_body import READS, HttpAnswer, RequestBody

_VARY = (b"vary", b"Origin")
_ALLOWED = (
    (b"access-control-allow-methods", b"GET, HEAD"),
    (b"access-control-allow-headers", b"authorization, last-event-id"),
    (b"access-control-max-age", b"600"),
)


class CrossOrigin:
    """The origins whose pages may read."""

    def __init__(self, origins: Iterable[str]) -> None:
        """Allow *origins*, as browsers write them."""
        self._origins = frozenset(origin.encode() for origin in origins)

    def allows(self, request: RequestBody) -> bool:
        """Return whether *request* is a read by a page of an allowed origin, or asks for one."""
        method = request.scope["method"]
        if method == "OPTIONS":
            method = request.headers.get(b"access-control-request-method", b"").decode("latin-1")
        return method in READS and request.headers.get(b"origin") in self._origins

    def preflight(self, request: RequestBody) -> HttpAnswer | None:
        """The answer to a browser that asks whether a page of an allowed origin may read; `None` for all others."""
        asks = request.scope["method"] == "OPTIONS" and self.allows(request)
        return HttpAnswer(200, _ALLOWED, b"") if asks else None

    def answering(self, request: RequestBody, send: Send) -> Send:
        """As *send*, with what lets an allowed page read the answer, and keeps caches from giving it to others."""
        if not self._origins or request.scope["method"] not in {*READS, "OPTIONS"}:
            return send
        fields = [_VARY]
        if (origin := request.headers.get(b"origin")) in self._origins:
            fields += [(b"access-control-allow-origin", origin), (b"access-control-expose-headers", b"retry-after")]

        async def with_fields(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *fields]}
            await send(message)

        return with_fields
