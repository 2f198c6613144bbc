"""An HTTP service as the processor: POST the payload, and the JSON of the answer is the output.

Every attempt for a packet carries the same ``Idempotency-Key``, a hash of its key (R11), so that a service that pays
for its work can tell a repeat. What the answers mean (design §5): 2xx gives the output; 4xx says that the packet is to
blame, so no attempt can help, other than 408, 425 and 429, which speak of time; all else, and no answer, is tried
again, not before the time that a ``Retry-After`` names. Redirects are not followed: payloads go where the settings say.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import msgspec

from collator import __version__, target
from collator.backoff import parse_retry_after
from collator.egress import MOST_SAID, REDIRECTS, Answer, Egress, NoAnswer, Policy, words
from collator.errors import ConfigError, Permanent, ProcessorFailed
from collator.messages import Key, Result, Task
from collator.processor.coroutine import Calls
from collator.processor.outcomes import OutcomeFactory
from collator.processor.outputs import Unusable
from collator.text import one_line

_PASSING = frozenset({408, 425, 429})
_SHORTAGE_DELAY = 1.0
"""Seconds until a call is made again for which this process lacked something."""


class HttpService:
    """Calls the service at *url*. Many calls may be under way at a time."""

    batch = 1

    def __init__(
        self,
        url: str,
        outcomes: OutcomeFactory | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        policy: Policy | None = None,
    ) -> None:
        """*url* begins with ``http://`` or ``https://``; *tls* secures it, where that of the system does not do.

        Raises `ConfigError` where it has an address to which *policy* lets nothing go.
        """
        self._tls, self._policy = tls, policy or Policy()
        if refusal := self._policy.refusal(target.parse(url).host):
            raise ConfigError(f"processor: {refusal}")
        self.outcomes = outcomes or OutcomeFactory()
        self._url = url
        self._headers = {
            "content-type": "application/json",
            "accept": "application/json",
            "accept-encoding": "identity",
            "user-agent": f"collator/{__version__}",
        }

    @asynccontextmanager
    async def calls(self) -> AsyncIterator[Calls]:
        """Give a caller on this event loop, over connections that are kept while the context is open."""
        egress = Egress(policy=self._policy, stood_still=self.outcomes.stood_still)
        try:
            yield partial(self._attempt, egress)
        finally:
            await egress.aclose()

    async def _attempt(self, egress: Egress, tasks: Sequence[Task]) -> list[Result]:
        (task,) = tasks
        headers = {**self._headers, "idempotency-key": idempotency_key(task.key)}
        try:
            answer = await self._answer(egress, headers, task.payload)
            return [self.outcomes.returned(task, msgspec.Raw(self._output(answer, len(task.payload))))]
        except BaseException as error:  # noqa: BLE001 - cancelled, too, it has ended in no other way than this
            return [self.outcomes.failed(task, error)]

    async def _answer(self, egress: Egress, headers: dict[str, str], payload: bytes) -> Answer | NoAnswer:
        """Send *payload*; again while this process lacks descriptors or memory, until the time of the call is up."""
        timeout, keep, clock = self.outcomes.timeout, self.outcomes.max_output, asyncio.get_running_loop().time
        end = clock() + timeout
        while True:
            answer = await egress.post(self._url, headers, payload, timeout=timeout, keep=keep, tls=self._tls)
            timeout = end - clock() - _SHORTAGE_DELAY
            if isinstance(answer, Answer) or not answer.own_shortage or timeout <= 0:
                return answer
            await asyncio.sleep(_SHORTAGE_DELAY)

    def _output(self, answer: Answer | NoAnswer, size: int) -> bytes:
        if isinstance(answer, NoAnswer):
            raise ProcessorFailed(answer.reason)
        if not 200 <= answer.status < 300:  # noqa: PLR2004 - the class of success, RFC 9110 section 15.3
            raise self._failure(answer, size)
        if not answer.complete:
            raise ProcessorFailed(f"HTTP {answer.status}, but the body of the answer is incomplete")
        if answer.body is None:
            raise Unusable(f"more than {self.outcomes.max_output} bytes")
        output = answer.body.strip(b" \t\r\n")
        if not output:
            raise Unusable("the answer is empty")
        return output

    def _failure(self, answer: Answer, size: int) -> ProcessorFailed:
        said = "" if answer.status in REDIRECTS and answer.location else _said(answer.body or b"")
        reason = words(answer, size=size) + said
        if 400 <= answer.status < 500 and answer.status not in _PASSING:  # noqa: PLR2004 - RFC 9110 section 15.5
            return Permanent(reason)
        after = parse_retry_after(answer.retry_after, self.outcomes.clock.wall())
        return ProcessorFailed(reason, retry_after=after)


def idempotency_key(key: Key) -> str:
    """The same for every attempt for a packet, and no other's: 64 hexadecimal digits."""
    packet = key.resource_id.encode() + b"\0" + key.generation + key.index.to_bytes(4)
    return hashlib.sha256(packet).hexdigest()


def _said(body: bytes) -> str:
    """The words of the service on its failure, where they are plain text or JSON and no page."""
    line = one_line(body[: 4 * MOST_SAID].decode("utf-8", "replace"), MOST_SAID)
    return "" if not line or line.startswith("<") else f": {line}"
