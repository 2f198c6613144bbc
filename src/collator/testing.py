"""For the tests of programs that use Collator: a clock that is moved by hand, and a receiver that records.

Nothing here is needed by a running service.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Self

from collator.web.inbox import Inbox
from collator.webhook import Received, Reply

if TYPE_CHECKING:
    from types import TracebackType

    from collator.signing import Secret

__all__ = ["ManualClock", "Received", "Receiver"]


class ManualClock:
    """A clock that stands still until it is moved; fits wherever a `collator.clock.Clock` is asked for."""

    def __init__(self, *, wall: float = 1_790_000_000.0, monotonic: float = 1_000.0) -> None:
        """Start at *wall*, seconds since 1970-01-01T00:00:00Z, and *monotonic*, seconds since some moment."""
        self._wall = wall
        self._monotonic = monotonic

    def wall(self) -> float:
        """Seconds since 1970-01-01T00:00:00Z."""
        return self._wall

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let *seconds*, at least 0, pass on both readings."""
        if seconds < 0:
            raise ValueError(f"time cannot go back ({seconds} s); jump_wall moves the wall clock in both directions")
        self._wall += seconds
        self._monotonic += seconds

    def jump_wall(self, seconds: float) -> None:
        """Move the wall clock alone, either way, as an operator or a time server does."""
        self._wall += seconds


class Receiver:
    """A receiver of webhooks on 127.0.0.1 that records what it gets, as an async context manager.

        async with Receiver(answers=[503]) as receiver:
            ...  # have the service deliver to receiver.url
            first, second = await receiver.wait(2)

    It answers with the statuses of a script, one a webhook, and with 204 when the script is at its end.
    """

    def __init__(self, *, answers: Iterable[int] = (), secrets: Sequence[Secret] | None = None) -> None:
        """Answer with *answers* first. With *secrets* (`collator.signing.parse_secrets`), 401 to who has other ones."""
        self.received: list[Received] = []
        """Every webhook that came in, those answered with an error too, in order."""
        self._script = iter(answers)
        self._came = asyncio.Condition()
        self._inbox = Inbox(self._take, secrets=None if secrets is None else lambda: secrets)

    async def __aenter__(self) -> Self:
        await self._inbox.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._inbox.__aexit__(kind, error, trace)

    @property
    def url(self) -> str:
        """The URL at which it listens."""
        return self._inbox.url

    async def wait(self, count: int, *, timeout: float = 5.0) -> Sequence[Received]:
        """Everything received, as soon as that is *count* webhooks. Raises `TimeoutError` after *timeout* seconds."""
        try:
            async with asyncio.timeout(timeout), self._came:
                await self._came.wait_for(lambda: len(self.received) >= count)
        except TimeoutError:
            raise TimeoutError(f"{len(self.received)} of {count} webhooks arrived within {timeout:g} s") from None
        return tuple(self.received)

    async def _take(self, received: Received) -> Reply:
        async with self._came:
            self.received.append(received)
            self._came.notify_all()
        return Reply(next(self._script, 204))
