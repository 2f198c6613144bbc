"""One request that came whole, and its answer: what stands in the place of uvicorn's cycle where ASGI has no part."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol


class Cycle(Protocol):
    """The state of a request and its answer, as `RequestResponseCycle` of uvicorn has it too."""

    keep_alive: bool
    disconnected: bool
    response_started: bool
    response_complete: bool


class WholeCycle:
    """The state of a request of which nothing more is to come."""

    __slots__ = ("disconnected", "keep_alive", "response_complete", "response_started")

    more_body = False
    body = b""
    scope: Mapping[str, Any] = MappingProxyType({})

    def __init__(self) -> None:
        """Begin without an answer."""
        self.keep_alive = True
        self.disconnected = self.response_started = self.response_complete = False

    @property
    def message_event(self) -> WholeCycle:
        """The event that uvicorn sets to wake who reads the request; here nobody does."""
        return self

    def set(self) -> None:
        """Wake nobody."""
