"""The body of a request: bytes in memory, or pieces that are read as they are sent."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import NamedTuple

PIECE = 256 * 1024
"""Bytes of a body that is here which are written in one go."""


class Pieces(NamedTuple):
    """A body that is never in memory as a whole."""

    size: int
    """Its bytes."""
    read: Callable[[], AsyncGenerator[bytes | memoryview, None]]
    """Begins to read it: the same bytes at every call, as a request may have to go out once more."""

    async def checked(self) -> AsyncGenerator[bytes | memoryview, None]:
        """Read it. Raises `ValueError` where it is not of its size, and gives nothing that is beyond."""
        left = self.size
        async with aclosing(self.read()) as pieces:
            async for piece in pieces:
                left -= len(piece)
                if left < 0:
                    break
                yield piece
        if left:
            raise ValueError(f"the size of the body has changed from {self.size} bytes")


Body = bytes | Pieces


def length(body: Body) -> int:
    """The bytes of *body*."""
    return len(body) if isinstance(body, bytes) else body.size


def as_pieces(body: Body) -> Pieces:
    """*body*, to be read piece by piece."""
    if isinstance(body, Pieces):
        return body

    async def read() -> AsyncGenerator[memoryview, None]:
        for begin in range(0, len(body), PIECE):
            yield memoryview(body)[begin : begin + PIECE]

    return Pieces(len(body), read)
