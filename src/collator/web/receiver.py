"""The application of a receiver: webhooks, on any path, behind the guard and the host check of a service.

The signature headers of a webhook are checked before its body is read, so that a sender without a secret cannot have
megabytes read. Without secrets, a web page of a stranger is told from a service only by what browsers may not send
without asking: JSON, and requests to a name or an address that is not ours.

Nothing but 2xx means "received" to a sender (R22), so the answer is given when the handler has returned.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from starlette.types import Receive, Scope, Send

from collator.signing import ID, Secret, Unverified, read_signature, verify
from collator.web.buffer_memory import BufferMemory
from collator.web.formats import JSON
from collator.web.host_check import HostCheck
from collator.web.limits import MIB, HttpLimits
from collator.web.load import peer
from collator.web.loop_turns import LoopTurns
from collator.web.problems import HttpProblem, ProblemType, busy
from collator.web.refusals import RefusalLog
from collator.web.request_body import KEPT, HttpAnswer, RequestBody, or_problem
from collator.web.request_head import foreign_media_type
from collator.webhook import Handle, Received

_LARGE = 1 * MIB
"""Bytes of a body whose signature is checked beside the event loop."""
_ID = re.compile(r"msg_[a-z2-7]{52}")


class ReceiverApp:
    """The ASGI application."""

    def __init__(
        self,
        handle: Handle,
        *,
        hosts: Iterable[str] | None,
        secrets: Callable[[], Sequence[Secret]] | None,
        limits: HttpLimits,
        refusals: RefusalLog,
        strict: bool,
    ) -> None:
        """Pass every webhook to *handle*; without *secrets* nothing is verified. *hosts* as in `HostCheck`.

        *strict*: take nothing but what a service sends, which is JSON under an id of its own form.
        """
        self._handle = handle
        self._strict = strict
        self._host_check = HostCheck(hosts)
        self._secrets = secrets
        self._limits = limits
        self._buffer_memory = BufferMemory(limits.max_buffered)
        self._turns = LoopTurns()
        self._refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; whatever goes wrong becomes a problem."""
        request = RequestBody(scope, receive, self._buffer_memory, self._turns)
        request.who = peer(scope.get("client"))
        try:
            answer = await or_problem(self._answer(request), request, self._refusals)
        finally:
            request.release()
        if answer is not None:
            await request.answer(answer, send)

    async def _answer(self, request: RequestBody) -> HttpAnswer:
        self._host_check.check(request.headers, request.target_host)
        if KEPT in request.scope:
            raise busy("too many connections with a request")
        if request.scope["method"] != "POST":
            raise HttpProblem(ProblemType.METHOD_NOT_ALLOWED, "send webhooks with POST", headers=((b"allow", b"POST"),))
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers.items()}
        self._check_signature(headers)
        if self._strict and request.media_type() != JSON:
            raise foreign_media_type(request.media_type(), JSON)
        received = Received(headers, await request.body(self._limits.max_body))
        await self._verify(received)
        reply = await self._handle(received)
        text = reply.text.encode()
        return HttpAnswer(reply.status, ((b"content-type", b"text/plain; charset=utf-8"),) if text else (), text)

    def _check_signature(self, headers: Mapping[str, str]) -> None:
        """Raise `HttpProblem` where no body could make the webhook one that a service signed."""
        if self._secrets is None:
            return
        try:
            signed = read_signature(headers, now=time.time())
        except Unverified as error:
            raise _unverified(error) from None
        if self._strict and not _ID.fullmatch(signed.webhook_id):
            raise HttpProblem(ProblemType.UNAUTHORIZED, f"the {ID} is not from Collator")

    async def _verify(self, received: Received) -> None:
        if self._secrets is None:
            return
        secrets, now = self._secrets(), time.time()
        try:
            if len(received.body) > _LARGE:
                await asyncio.to_thread(verify, secrets, received.headers, received.body, now=now)
            else:
                verify(secrets, received.headers, received.body, now=now)
        except Unverified as error:
            raise _unverified(error) from None


def _unverified(error: Unverified) -> HttpProblem:
    return HttpProblem(ProblemType.UNAUTHORIZED, error.detail)
