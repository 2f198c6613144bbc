"""An answer that is written while it comes about: each piece leaves at once, and no proxy keeps it back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from starlette.types import Send

from collator.web.event_text import ResourceEvent
from collator.web.request_body import MUCH


class LiveConnection(Protocol):
    """A connection that can be written to past the task of its request."""

    def write_live(self, chunk: bytes, events: Sequence[ResourceEvent]) -> bool:
        """Write *events*, which *chunk* has framed for HTTP; `False`: they have to be written by who may wait."""
        ...


async def begin_live(send: Send, media_type: bytes) -> None:
    """Write the head."""
    head = [(b"content-type", media_type), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no")]
    await send({"type": "http.response.start", "status": 200, "headers": head})


async def write_live(send: Send, piece: bytes) -> None:
    """Write *piece*, and wait until the client has taken what is much."""
    await send({"type": "http.response.body", "body": piece, "more_body": True})
    if len(piece) > MUCH:
        await send({"type": "http.response.body", "body": b"", "more_body": True})


def chunk_of(piece: bytes) -> bytes:
    """*piece* framed, for many connections at once; empty where it is much, so that they have to wait."""
    return b"%x\r\n%b\r\n" % (len(piece), piece) if len(piece) <= MUCH else b""


async def end_live(send: Send) -> None:
    """Say that nothing more comes."""
    await send({"type": "http.response.body", "body": b"", "more_body": False})
