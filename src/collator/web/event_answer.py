"""The answer that is a stream of server-sent events, whatever these tell of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.types import Send

from collator.web.event_text import RETRY
from collator.web.live_answer import begin_live, end_live, write_live
from collator.web.request_body import RequestBody
from collator.web.routes.route import EVENTS


async def answer_events(request: RequestBody, send: Send, first: bytes, go_on: Callable[[], Awaitable[None]]) -> None:
    """Answer *request* by a stream of events: the *first*, and what *go_on* writes; to HEAD by its head."""
    request.answering = True
    await begin_live(send, EVENTS.encode())
    if request.scope["method"] != "HEAD":
        await write_live(send, RETRY + first)
        await go_on()
    await end_live(send)
