"""A server that webhooks are sent to: it checks their signatures, and hands them over. Knows nothing of files.

It listens as a service does (`collator.web.server`), with the same deadlines, limits and host check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

from collator.signing import Secret
from collator.web.limits import MIB, HttpLimits
from collator.webhook import Handle

if TYPE_CHECKING:
    from types import TracebackType

    from collator.web.problems import HttpProblem
    from collator.web.refusals import Asked, RefusalLog
    from collator.web.server import Listener

MAX_BODY = 1024 * MIB
"""Bytes; a service can be told to send bodies as large as it likes."""
GRACE = 2.0
"""Seconds in which requests under way may end at the close; who gets no answer sends again."""


def limits_for(max_body: int) -> HttpLimits:
    """The limits of a service, but for bodies: of *max_body* bytes, and together half as large again."""
    return HttpLimits(max_body=max_body, max_buffered=max_body * 3 // 2)


class Inbox:
    """A server on *host* and *port* that passes every webhook to *handle*, as an async context manager."""

    def __init__(
        self,
        handle: Handle,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        hosts: Iterable[str] | None = None,
        secrets: Callable[[], Sequence[Secret]] | None = None,
        limits: HttpLimits | None = None,
        refusals: RefusalLog | None = None,
        strict: bool = False,
    ) -> None:
        """Listen only once it is entered, which raises what `cannot_listen` gives; *port* 0 takes any free one.

        It answers who asks for it by one of *hosts* or by an address; `None`: by any name. Without *secrets* nothing is
        verified; with them it takes what one of them signed, and *strict*, JSON under an id of Collator's alone.
        *refusals* notes what was not taken, and why.
        """
        self._handle = handle
        self._host, self._port = host, port
        self._hosts = hosts
        self._secrets = secrets
        self._strict = strict
        self._limits = limits or limits_for(MAX_BODY)
        self._refusals = refusals or _Unnoted()
        self._opened = AsyncExitStack()

    async def __aenter__(self) -> Self:
        # Here, as commands import this file that never listen, and need no server.
        from collator.web.receiver import ReceiverApp
        from collator.web.server import serve

        limits, refusals = self._limits, self._refusals
        app = ReceiverApp(
            self._handle,
            hosts=self._hosts,
            secrets=self._secrets,
            limits=limits,
            refusals=refusals,
            strict=self._strict,
        )
        listener = serve(app, host=self._host, port=self._port, limits=limits, grace=lambda: GRACE, refusals=refusals)
        self._listener: Listener = await self._opened.enter_async_context(listener)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opened.aclose()

    @property
    def url(self) -> str:
        """The URL at which it listens."""
        return f"{self._listener.url}/"


class _Unnoted:
    """Notes nothing."""

    def note(self, refusal: HttpProblem, asked: Asked) -> None:
        """Do nothing."""

    def note_given_way(self, client: tuple[str, int] | None) -> None:
        """Do nothing."""
