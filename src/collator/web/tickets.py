"""Tickets: what a page in a browser follows a resource with, as `EventSource` can send no token.

A ticket is for the events of one resource, and for a short time. Nothing is kept of it: it says until when it holds and
who asked for it, and is signed (HMAC-SHA256). The secret is that of a file which several nodes may share, or one that
this process makes when it begins: then a ticket is good on this node alone, and not after a restart.
"""

from __future__ import annotations

import hmac
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from urllib.parse import parse_qsl

import msgspec

from collator.signing import Secret, generate_secret
from collator.tokens import Caller, Role
from collator.web.auth import INVALID, unauthorized
from collator.web.load import who_asks
from collator.web.problems import HttpProblem
from collator.web.request_body import READS, HttpAnswer, RequestBody, answer_json
from collator.web.routes.parts import read_path

LASTS = 60
"""Seconds for which a stream can be opened with a ticket; once open, it goes on."""

_PATH = re.compile("/v1/resources/(?P<resource_id>[^/]+)/events")
_TICKET = re.compile(r"([0-9]{1,12})\.([A-Za-z0-9_=-]{0,400})\.([0-9a-f]{64})")


class Ticket(msgspec.Struct, frozen=True):
    """A ticket, as it is answered."""

    ticket: str
    """For `GET /v1/resources/{resource_id}/events?ticket=`, of this resource, at the node that gave it."""
    expires_in: int
    """Seconds for which a stream can be opened with it."""


class Tickets:
    """The tickets of this service."""

    def __init__(
        self, secrets: Callable[[], Sequence[Secret]] | None = None, *, now: Callable[[], float] = time.time
    ) -> None:
        """Sign with the first of *secrets*, and know all; without, with one of its own. *now* in seconds since 1970."""
        own = [Secret(generate_secret())]
        self._secrets = secrets or (lambda: own)
        self._now = now

    async def create(self, request: RequestBody, *, resource_id: str) -> HttpAnswer:
        """A ticket for the events of a resource, of which nothing has to be there yet."""
        await request.nothing()
        who = who_asks(request.caller, request.scope.get("client"))
        said = f"{int(self._now()) + LASTS}.{urlsafe_b64encode(who.encode()).decode()}"
        return answer_json(Ticket(f"{said}.{_signature(self._secrets()[0], said, resource_id)}", LASTS))

    def caller(self, request: RequestBody) -> Caller | None:
        """The owner of the ticket of a request for events without a token; `None` for other requests.

        Raises `HttpProblem`, `Malformed`.
        """
        query: bytes = request.scope["query_string"]
        if b"ticket=" not in query or b"authorization" in request.headers:
            return None
        found = _PATH.fullmatch(request.scope["raw_path"].decode("ascii"))
        if found is None or request.scope["method"] not in READS:
            return None
        ticket = dict(parse_qsl(query.decode("ascii", "replace"))).get("ticket", "")
        return self._owner(ticket, read_path(found.groupdict())["resource_id"]) if ticket else None

    def _owner(self, ticket: str, resource_id: str) -> Caller:
        parts = _TICKET.fullmatch(ticket)
        said = ticket.rpartition(".")[0]
        signatures = [_signature(secret, said, resource_id) for secret in self._secrets()]
        if parts is None or not sum(hmac.compare_digest(parts[3], one) for one in signatures):
            raise _refused(
                "the ticket is for another resource, or from another node or an earlier start of the service"
            )
        if self._now() >= int(parts[1]):
            raise _refused("the ticket has expired")
        return Caller(urlsafe_b64decode(parts[2]).decode(), frozenset({Role.READ}))


def _signature(secret: Secret, said: str, resource_id: str) -> str:
    return secret.begin(f"ticket.{said}.{resource_id}".encode()).hexdigest()


def _refused(detail: str) -> HttpProblem:
    return unauthorized(f"{detail}; ask for a new one: POST …/ticket", INVALID)
