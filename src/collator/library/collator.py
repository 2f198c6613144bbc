"""`Collator`: the engine within one's own asyncio program, with the verbs of the client and no port."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self, Unpack

from collator import logs
from collator.client import Verbs
from collator.client.connection import Unopened
from collator.library.asgi import AsgiConnection
from collator.library.callback import OnFinished, endpoint
from collator.library.options import CollatorOptions
from collator.pipeline import open_pipeline
from collator.processor import look_here
from collator.service import parts_of
from collator.settings import NO_WEBHOOK, from_keywords
from collator.web.app import make_app

if TYPE_CHECKING:
    from types import TracebackType


class Collator(Verbs):
    """The whole engine on a data directory of its own, as an async context manager.

        async with Collator("calls", processor=transcribe, on_finished=store) as collator:
            await collator.send([{"resource_id": "call-17", "index": 0, "payload": "…", "last": True}])
            print(await collator.result("call-17"))

    Entering it goes on with what an earlier one left; leaving it drains, within `drain_timeout`, and leaves the rest
    to the next. Where a part of the engine breaks, which is a defect, the body is cancelled and the context raises.
    """

    def __init__(
        self,
        data_dir: str | Path,
        *,
        processor: str | Callable[..., object],
        on_finished: OnFinished | None = None,
        webhook: str | None = None,
        processor_batch: int = 1,
        batch: int = 500,
        in_flight: int = 2,
        patience: float | None = 60.0,
        **settings: Unpack[CollatorOptions],
    ) -> None:
        """Open nothing yet. Raises `ConfigError`.

        Args:
            data_dir: Where everything is stored; no other process may have it.
            processor: What is called with every payload: a function, in threads; a coroutine function, on a loop of
                its own; or what `collator serve --processor` takes.
            on_finished: Coroutine function that is called for every finished resource, at least once.
            webhook: Address to which every finished resource is sent, at least once.
            processor_batch: Payloads that *processor* takes in one call, at most: the setting ``batch``.
            batch: Packets that `send` stores in one go, at most.
            in_flight: Batches of one `send` at a time.
            patience: Seconds without any success after which `send` gives up, as on a full disk; `None` for never.
            settings: Those of `collator serve`, by the names in collator.toml, in seconds and bytes or written as
                there. Neither the environment nor a file is looked at.
        """
        super().__init__(batch=batch, in_flight=in_flight, patience=patience)
        given: dict[str, object] = {
            **settings,
            "data_dir": data_dir,
            "batch": processor_batch,
            "webhook": webhook or (None if "endpoints" in settings else NO_WEBHOOK),
        }
        self.settings = from_keywords(given | ({"processor": processor} if isinstance(processor, str) else {}))
        """The effective settings."""
        self._processor = None if isinstance(processor, str) else processor
        look_here()
        self._endpoints = []
        if on_finished is not None:
            width, timeout = self.settings.delivery_concurrency, self.settings.delivery_timeout
            self._endpoints = [endpoint(on_finished, concurrency=width, timeout=timeout)]
        self._stack = AsyncExitStack()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {str(self.settings.data_dir)!r} {'open' if self.is_open else 'closed'}>"

    async def __aenter__(self) -> Self:
        logs.configure_for_library()
        pipeline = await self._stack.enter_async_context(
            open_pipeline(self.settings, processor=self._processor, endpoints=self._endpoints)
        )
        await self._stack.enter_async_context(pipeline.at_work())
        self._connection = AsgiConnection(make_app(parts_of(pipeline, self.settings)))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Whatever ended the body, what is under way is finished or handed back, and its error goes on as it is.
        await self._connection.aclose()
        self._connection = Unopened(type(self).__name__)
        await self._stack.aclose()
