"""An HTTP service as the processor: POST the payload, and the JSON of the answer is the output.

That is how it is without settings; a `Shape` makes other requests, and finds the output in the answer. Every attempt
for a packet carries the same ``Idempotency-Key``, a hash of its key (R11), so that a service that pays for its work can
tell a repeat. What the answers mean is said in `endings`. Redirects are not followed: payloads go where the settings
say.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple

import msgspec

from collator import target
from collator.egress import Answer, Egress, NoAnswer, Policy
from collator.errors import ConfigError
from collator.messages import Output, Result, Retry, Task
from collator.processor import endings
from collator.processor.endings import SUCCESSES, CallEnding, Cause, Sign
from collator.processor.outcomes import OutcomeFactory, fault_of
from collator.processor.request import Request, Shape, ShapeOptions

_SHORTAGE_DELAY = 1.0
"""Seconds until a call is made again for which this process lacked something."""


class EndedCall(NamedTuple):
    """A call that has ended."""

    ending: CallEnding
    result: Result
    """What it means for the packet; where that is not to blame, before anything is known of other calls."""

    @property
    def cause(self) -> Cause:
        """The one to blame: for an answer that the output cannot be taken from, the packet."""
        cause = self.ending.cause
        return Cause.PACKET if cause is Cause.OUTPUT and not isinstance(self.result, Output) else cause


Requests = Callable[[Sequence[Task]], Awaitable[EndedCall]]
"""Makes the request for one task. Never raises."""


class HttpService:
    """Calls the service at *url*. Many calls may be under way at a time."""

    batch = 1

    def __init__(
        self,
        url: str,
        outcomes: OutcomeFactory | None = None,
        *,
        shape: ShapeOptions | None = None,
        keep_alive: float = 5.0,
        tls: ssl.SSLContext | None = None,
        policy: Policy | None = None,
    ) -> None:
        """*url* begins with ``http://`` or ``https://``; *tls* secures it, where that of the system does not do.

        A connection is kept for *keep_alive* idle seconds.

        Raises `ConfigError` where it has an address to which *policy* lets nothing go, or *shape* cannot be used.
        """
        self._keep_alive, self._tls, self._policy = keep_alive, tls, policy or Policy()
        parsed = target.parse(url)
        if refusal := self._policy.refusal(parsed.host):
            raise ConfigError(f"processor: {refusal}")
        path, query, _ = parsed.path.partition("?")
        self.address = f"{'https' if parsed.tls else 'http'}://{parsed.authority}{path}{query and '?…'}"
        """Where it is, without what may be a secret."""
        self.outcomes = outcomes or OutcomeFactory()
        self._url = url
        self.watch: Callable[[Request, Answer | NoAnswer], None] | None = None
        """Called with each request and what came of it, where somebody wants to see them."""
        self.trace_headers: Callable[[], Mapping[str, str]] | None = None
        """Gives the headers that a request has for the trace of its call, where there are traces."""
        self.shape = Shape(shape or ShapeOptions(), url)

    @asynccontextmanager
    async def calls(self) -> AsyncIterator[Requests]:
        """Give a caller on this event loop, over connections that are kept while the context is open."""
        egress = Egress(policy=self._policy, keep_alive=self._keep_alive, stood_still=self.outcomes.stood_still)
        try:
            yield partial(self._attempt, egress)
        finally:
            await egress.aclose()

    async def _attempt(self, egress: Egress, tasks: Sequence[Task]) -> EndedCall:
        (task,) = tasks
        sign = Sign.UNSENT
        try:
            request = self.shape.request(task)
            sign = Sign.ANSWERED
            answer = await self._answer(egress, request)
            ending = endings.of_answer(
                _told(answer, request),
                size=len(request.body),
                max_output=self.outcomes.max_output,
                wall=self.outcomes.clock.wall(),
            )
            if ending.sign is Sign.OVERLOADED:
                egress.close_idle()  # a service may count them as calls, and goes on refusing while they are there
            return self._ended(task, ending)
        except BaseException as error:  # noqa: BLE001 - cancelled, too, it has ended in no other way than this
            ending = self.outcomes.ending_of(error, sign=sign)
            return EndedCall(ending, self.outcomes.blamed(task, ending))

    def _ended(self, task: Task, ending: CallEnding) -> EndedCall:
        if ending.cause is Cause.OUTPUT:
            return EndedCall(ending, self.outcomes.returned(task, msgspec.Raw(self.shape.output(ending.output))))
        if ending.cause is Cause.PACKET:
            return EndedCall(ending, self.outcomes.blamed(task, ending))
        reason, fault = self.outcomes.reason(ending), fault_of(task, ending)
        return EndedCall(ending, Retry(task.lease, reason, 0.0, counted=False, fault=fault))

    async def _answer(self, egress: Egress, request: Request) -> Answer | NoAnswer:
        """Send *request*; again while this process lacks descriptors or memory, until the time of the call is up."""
        headers = request.headers if self.trace_headers is None else {**request.headers, **self.trace_headers()}
        timeout, keep, clock = self.outcomes.timeout, self.outcomes.max_output, asyncio.get_running_loop().time
        end = clock() + timeout
        while True:
            answer = await egress.send(
                self._url,
                headers,
                request.body,
                method=self.shape.method,
                timeout=timeout,
                keep=keep,
                tls=self._tls,
            )
            timeout = end - clock() - _SHORTAGE_DELAY
            if isinstance(answer, Answer) or not answer.own_shortage or timeout <= 0:
                break
            await asyncio.sleep(_SHORTAGE_DELAY)
        if self.watch is not None:
            self.watch(request, answer)
        return answer


def _told(answer: Answer | NoAnswer, request: Request) -> Answer | NoAnswer:
    """*answer* as its reason may tell it: only an output may hold what *request* has of secrets."""
    if isinstance(answer, NoAnswer) or answer.body is None or answer.status in SUCCESSES:
        return answer
    return msgspec.structs.replace(answer, body=request.without_secrets(answer.body))
