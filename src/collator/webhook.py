"""Webhooks as a receiver gets them, and its replies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from collator.signing import ID

TEST = "test"
"""The type of a webhook by which a person tests a receiver: it tells of no resource."""


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
    """The reply to a webhook."""

    status: int
    text: str = ""


Handle = Callable[[Received], Awaitable[Reply]]
