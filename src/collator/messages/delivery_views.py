"""Views of deliveries, as people see them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from collator.messages.deliveries import FailedAnswer
from collator.states import DeliveryState


class DeliveryReport(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery, as views show it."""

    id: str
    """``WEBHOOK_ID:ENDPOINT``."""
    resource_id: str
    webhook_id: str
    endpoint: str
    state: DeliveryState
    attempts: int
    reason: str
    """How the last attempt ended, or what has kept it from another since; empty before the first."""
    created_at: str
    """When its resource ended, RFC 3339 in UTC."""
    attempted_at: str | None
    """When the last attempt began, RFC 3339 in UTC; `None` before the first."""
    due_in: float | None
    """Seconds until it is due; `None` once it has ended."""


class AttemptReport(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt to deliver, as views show it."""

    attempt: int
    """1 for the first; goes on counting over a replay (R24)."""
    at: str
    """When it began, RFC 3339 in UTC."""
    seconds: float
    """How long it took."""
    result: str
    """``delivered`` or ``failed``."""
    reason: str
    """The answer in words."""


class AnswerReport(FailedAnswer, frozen=True, kw_only=True):
    """An answer that was no success, as views show it."""

    at: str
    """When it came, RFC 3339 in UTC."""


class DeliveryDetail(DeliveryReport, frozen=True, kw_only=True):
    """A delivery and its history."""

    log: Sequence[AttemptReport]
    """Its attempts, oldest first; the last 24 of them."""
    answer: AnswerReport | None
    """The last answer with a body that was no success; `None` where there was none."""


LOG = 24
"""Attempts of a delivery whose history is kept: two whole schedules (R23)."""


class DeliveryFilter(msgspec.Struct, frozen=True, kw_only=True):
    """A filter of deliveries: those that fit all that is said, and their order."""

    id: str | None = None
    """This one alone."""
    webhook_id: str | None = None
    """Those under this webhook id, to whatever endpoint."""
    resource_id: str | None = None
    prefix: str = ""
    """What the id of the resource begins with."""
    endpoint: str | None = None
    state: DeliveryState | None = None
    since: float | None = None
    """Resources that ended then or later; wall clock, seconds since 1970."""
    until: float | None = None
    """Resources that ended then or before."""
    reason: str | None = None
    """A text in how the last attempt ended, or in what has kept it from another since."""
    newest: bool = False
    """Those that were created last come first; else those that were created first."""


class DeliveryPage(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a list of deliveries."""

    deliveries: Sequence[DeliveryReport]
    after: str | None
    """Where the next page begins; `None` at the end. A page may have few lines, or none, and others behind it."""
    places: Sequence[str | None] = ()
    """Where a page would begin behind each of them."""


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """Since when nothing is sent to an endpoint, and why."""

    since: str
    """RFC 3339 in UTC."""
    reason: str


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one step of a replay."""

    replayed: int
    dead: int
    """How many of those were dead; the others were delivered."""
    endpoints: frozenset[str]
    """Those that have something due now."""
    after: str | None
    """Where the next step begins; `None` where all is done."""
