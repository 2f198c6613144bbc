"""The client of a service: `send`, which gives up nothing in silence, and looks at what the service holds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from collator.client.batch import Packets, Tally
from collator.client.connection import Connection
from collator.client.feed import Feed
from collator.client.sending import Sending
from collator.errors import CollatorError

if TYPE_CHECKING:
    from types import TracebackType


class Rejected(CollatorError):
    """Packets were not taken, and will never be; all others were acknowledged."""

    def __init__(self, tally: Tally) -> None:
        """Keep *tally*, with its `rejected`."""
        first = "; ".join(str(rejection) for rejection in tally.rejected[:3])
        super().__init__(f"{len(tally.rejected)} packets were rejected, {tally.acknowledged} acknowledged: {first}")
        self.tally = tally


class Client:
    """A connection to the service at *url*, as an async context manager."""

    def __init__(
        self, url: str, *, batch: int = 500, in_flight: int = 2, timeout: float = 60.0, patience: float | None = 60.0
    ) -> None:
        """Open nothing yet.

        Args:
            url: Where the service listens, as in ``http://127.0.0.1:8000``.
            batch: Packets in one request, at most.
            in_flight: Requests of one `send` at a time.
            timeout: Seconds that one request may take.
            patience: Seconds without any success after which `send` gives up; `None` for never.
        """
        self.url = url
        self._batch = batch
        self._in_flight = in_flight
        self._timeout = timeout
        self._patience = patience

    async def __aenter__(self) -> Self:
        self._connection = Connection(self.url, timeout=self._timeout)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.aclose()

    async def send(self, packets: Packets, *, tally: Tally | None = None) -> Tally:
        """Send *packets* until each is acknowledged or rejected; how it went.

        *tally*, where it is given, can be read meanwhile. Raises `Rejected` at the end where packets were rejected,
        and `Unreachable` where nothing got through for `patience` seconds; what was not acknowledged by then may or
        may not be there, and can be sent again.
        """
        tally = tally or Tally()
        feed = Feed(packets, tally, batch=self._batch, takers=self._in_flight)
        sending = Sending(self._connection, tally, patience=self._patience)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(feed.fill())
                for _ in range(self._in_flight):
                    group.create_task(sending.drain(feed))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        if tally.rejected:
            raise Rejected(tally)
        return tally

    async def resource(self, resource_id: str) -> dict[str, Any]:
        """What the service knows of a resource, as it answers it. Raises `Unknown`, `Unreachable`."""
        return await self._connection.ask("GET", _path(resource_id))

    async def complete(self, resource_id: str, *, total: int | None = None, force: bool = False) -> dict[str, Any]:
        """Fix the *total* of a resource, or close it now by *force* (R15). Raises `Unknown`, `Conflict`."""
        wish = {"force": True} if force else {"total": total}
        return await self._connection.ask("POST", _path(resource_id) + "/complete", wish)


def send(url: str, packets: Packets, **options: Any) -> Tally:  # noqa: ANN401 - those of `Client`
    """`Client.send` for programs that have no event loop."""

    async def run() -> Tally:
        async with Client(url, **options) as client:
            return await client.send(packets)

    return asyncio.run(run())


def _path(resource_id: str) -> str:
    return f"/v1/resources/{quote(resource_id, safe='')}"
