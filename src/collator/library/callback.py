"""Deliveries to a coroutine of this process: an endpoint like any other, but for the wire.

What holds for a webhook holds here. The delivery is in the outbox from the moment at which its resource ends; it is
delivered when the coroutine has returned, due again on the same schedule when it raised, and after a crash it comes
again under the same id with the same content (P4). So a coroutine has to be prepared for repeats, by that id.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from collator.delivery.endpoint import Endpoint
from collator.egress import Answer, NoAnswer
from collator.errors import ConfigError
from collator.json_values import decoder
from collator.processor import reason_of

ENDPOINT = "on_finished"
"""What deliveries know it by."""
_TAKEN = 204
_LARGE = 1024 * 1024  # bytes; decoding more on the event loop would be felt


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a finished resource: the webhook that an endpoint elsewhere would get."""

    id: str = ""
    """The same at every attempt: what tells a repeat."""
    type: str
    """``resource.collated`` or ``resource.incomplete``."""
    timestamp: str
    """When the resource ended, RFC 3339 in UTC."""
    data: dict[str, Any]
    """With ``resource_id`` and ``outputs``, or ``partial`` where it is incomplete."""


OnFinished = Callable[[Webhook], Awaitable[object]]
"""A coroutine function; what it returns is dropped."""

_decode: Callable[[bytes], Webhook] = decoder(Webhook)


def endpoint(on_finished: OnFinished, *, concurrency: int, timeout: float) -> Endpoint:
    """The endpoint that calls *on_finished*, *concurrency* calls at a time, each for at most *timeout* seconds.

    Raises `ConfigError` where it is no coroutine function.
    """
    called = (on_finished, getattr(on_finished, "__call__", None))  # noqa: B004 - an object with such a method is one too
    if not any(map(inspect.iscoroutinefunction, called)):
        raise ConfigError("on_finished: expected a coroutine function (async def) with one parameter, a Webhook")
    handler = _Handler(on_finished, timeout)
    return Endpoint(
        name=ENDPOINT, url="", secrets=None, handler=handler.handle, concurrency=concurrency, timeout=timeout
    )


class _Handler:
    """Calls the user's coroutine, and answers as a receiver would."""

    def __init__(self, on_finished: OnFinished, timeout: float) -> None:
        self._on_finished = on_finished
        self._timeout = timeout

    async def handle(self, webhook_id: str, body: bytes) -> Answer | NoAnswer:
        webhook = _decode(body) if len(body) <= _LARGE else await asyncio.to_thread(_decode, body)
        limit = asyncio.timeout(self._timeout)
        try:
            async with limit:
                await self._on_finished(msgspec.structs.replace(webhook, id=webhook_id))
        except TimeoutError as error:
            return NoAnswer(f"timed out after {self._timeout:g} s" if limit.expired() else reason_of(error))
        except asyncio.CancelledError as error:
            if (task := asyncio.current_task()) and task.cancelling():
                raise
            return NoAnswer(reason_of(error))  # it waited for a task of its own that was cancelled
        except Exception as error:  # noqa: BLE001 - the user's code may raise anything; it comes again
            return NoAnswer(reason_of(error))
        return Answer(_TAKEN, words=f"{ENDPOINT} returned")
