"""The head of a request with packets, judged: in one place, whichever way the request is answered."""

from __future__ import annotations

from typing import NamedTuple

from collator.web.auth import Auth
from collator.web.formats import JSON
from collator.web.host_check import HostCheck
from collator.web.ndjson import MEDIA_TYPES
from collator.web.options import read_query
from collator.web.problems import HttpProblem, ProblemType
from collator.web.request_head import RequestHead, foreign_media_type
from collator.web.routes import POST_PACKETS
from collator.web.streams import Wanted


class PacketHead(NamedTuple):
    """What the head of a request with packets asks for."""

    media_type: str
    receipts: Wanted | None
    """Those that a stream wants."""


class PacketHeads:
    """The judge of all that the head alone decides of a request to the route for packets."""

    def __init__(self, host_check: HostCheck, auth: Auth) -> None:
        """Ask *host_check* and *auth*."""
        self._host_check, self._auth = host_check, auth

    def basis(self) -> object:
        """Return the tokens; while they are the same object, a head is judged alike."""
        return self._auth.tokens()

    def judge(self, head: RequestHead) -> PacketHead:
        """Identify the caller, kept in *head*, and read the rest of it. Raises `HttpProblem` and `Malformed`."""
        self._host_check.check(head.headers, head.target_host)
        head.caller = self._auth.identify(head.headers)
        if head.scope["method"] != POST_PACKETS.method:
            raise HttpProblem(ProblemType.METHOD_NOT_ALLOWED, "send packets with POST", headers=((b"allow", b"POST"),))
        self._auth.require(head.caller, POST_PACKETS.role)
        query, receipts = head.scope["query_string"], None
        if query:  # seldom: nothing is made for a request without one
            receipts = read_query(POST_PACKETS.options, query)["receipts"]
        media_type = head.media_type()
        if media_type != JSON and media_type not in MEDIA_TYPES:
            raise foreign_media_type(media_type, JSON, *sorted(MEDIA_TYPES))
        return PacketHead(media_type, receipts)
