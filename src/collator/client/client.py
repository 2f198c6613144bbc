"""The client of a service that runs elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TypedDict

from collator.client.arguments import seconds
from collator.client.arguments import token as checked
from collator.client.connection import HttpConnection, ServiceSocket, Unopened
from collator.client.live_stream import LiveStream
from collator.client.verbs import Verbs
from collator.errors import ConfigError
from collator.packet import check_id
from collator.settings.addresses import service

if TYPE_CHECKING:
    from types import TracebackType


class ClientOptions(TypedDict, total=False):
    """The options of `Client`."""

    token: str | None
    batch: int
    in_flight: int
    timeout: float
    patience: float | None


class Client(Verbs):
    """A connection to the service at *url*, as an async context manager, or between `open` and `close`."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        batch: int = 500,
        in_flight: int = 2,
        timeout: float = 60.0,
        patience: float | None = 60.0,
    ) -> None:
        """Open nothing yet. Raises `ConfigError` where one of these cannot be used.

        Args:
            url: Where the service listens, as in ``http://127.0.0.1:8000``.
            token: What the service knows the sender by, where it asks for tokens.
            batch: Packets in one request, at most.
            in_flight: Requests of one `send` at a time.
            timeout: Seconds that one request may take; a stream of `follow` until it begins.
            patience: Seconds without any success after which `send`, `stream`, `result` and `follow` give up; `None`
                for never.
        """
        self._timeout = seconds("timeout", timeout, least=0.001)
        super().__init__(batch=batch, in_flight=in_flight, patience=patience)
        try:
            self.url = service(url)
        except ValueError as error:
            raise ConfigError(f"url: {error}") from None
        self._token = checked(token)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url} {'open' if self.is_open else 'closed'}>"

    def stream(self, resource_id: str | int, *, metadata: object = None) -> LiveStream:
        """The packets of one resource of a live source, over WebSocket, as an async context manager.

            async with client.stream("call-17") as stream:
                async for words in call:
                    await stream.send(words)
                await stream.stop()

        *metadata* as in a packet. Each packet leaves at once, and is kept until it is stored: after a cut it is sent
        again. The end of the context waits until all are. For outcomes `follow` the resource meanwhile.
        """
        start = {"resource_id": check_id(resource_id)} | ({} if metadata is None else {"metadata": metadata})
        return LiveStream(self._socket, start, patience=self._patience)

    async def open(self) -> Self:
        """Open it, unless it is: for a notebook, whose cells share a client. To be closed by `close`."""
        if not self.is_open:
            self._connection = HttpConnection(self.url, timeout=self._timeout, token=self._token)
        return self

    async def close(self) -> None:
        """Close every connection. It may be opened again."""
        connection, self._connection = self._connection, Unopened(type(self).__name__)
        await connection.aclose()

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _socket(self) -> ServiceSocket:
        if not isinstance(self._connection, HttpConnection):
            raise Unopened(type(self).__name__).closed()
        return await self._connection.socket("/v1/stream")
