"""What who takes webhooks gets, and what it says to them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from collator.signing import ID


class Received(NamedTuple):
    """A webhook as it came in."""

    headers: Mapping[str, str]
    """By their names in lower case."""
    body: bytes

    @property
    def webhook_id(self) -> str:
        """The id that stays the same at every attempt; empty where it has none."""
        return self.headers.get(ID, "")


class Reply(NamedTuple):
    """What is answered."""

    status: int
    text: str = ""


Handle = Callable[[Received], Awaitable[Reply]]
