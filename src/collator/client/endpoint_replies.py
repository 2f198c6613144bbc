"""The answers of the service about endpoints, as type checkers see them; see `replies`."""

from __future__ import annotations

from typing import TypedDict


class EndpointReply(TypedDict):
    """An endpoint."""

    name: str
    configured: bool
    paused: bool
    paused_at: str | None
    reason: str | None
    why_not_sent: str | None
    next_try_in: float | None


class TriedEndpointReply(EndpointReply):
    """An endpoint whose receiver is tried."""

    under_way: bool


class ReceiverAnswerReply(TypedDict):
    """What a receiver said to a test."""

    webhook_id: str
    accepted: bool
    status: int | None
    reason: str
    seconds: float
    text: str


class EndpointsReply(TypedDict):
    """All endpoints, by name."""

    endpoints: list[EndpointReply]


class EndpointsPageReply(EndpointsReply):
    """A page of the list of endpoints."""

    next_cursor: str | None
