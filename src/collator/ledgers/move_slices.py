"""What travels when a store is moved into another: slices of its rows, and by how much handles and times are shifted.

A slice is made from the source and a `Shift` alone. So whoever goes on where a move was cut off, or compares what has
arrived, gets the same slices again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from types import MappingProxyType

import msgspec

COLUMNS: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "packet": ("k", "payload", "crc"),
        "waiting": ("rk", "first", "indexes"),
        "lease": ("token", "node", "rk", "until", "indexes", "sizes", "attempts", "tried", "suspect", "alone_until"),
        "attempt": ("k", "attempts", "deaths", "stops", "waits", "due_at", "reason"),
        "outcome": ("k", "output", "crc", "reason", "attempts", "seq"),
        "superseded": (
            "gk", "rk", "generation", "closed_at", "done", "body_size", "last_seq", "head", "tail", "frame_crc", "wid",
        ),
        "delivery": (
            "did", "rk", "endpoint", "large", "state", "attempts", "step", "due_at", "reason", "note", "tried_at",
            "seconds", "result", "answer",
        ),
        "delivery_log": ("did", "attempt", "tried_at", "seconds", "result", "reason"),
        "resource": (
            "rk", "id", "generation", "state", "total", "total_by", "metadata", "received", "highest", "done", "failed",
            "withdrawn", "body_size", "opened_at", "active_at", "idle_at", "deadline_at", "closed_at", "ended_by",
            "seen", "head", "tail", "frame_crc", "wid", "purge_at",
        ),
        "tombstone": ("id", "state", "ended_by", "total", "seen", "closed_at", "removed_at"),
    }
)  # fmt: skip
"""The tables that travel. A row is told by its first column, an attempt to deliver by its first two."""

Row = tuple[object, ...]


class MoveStage(IntEnum):
    """The stages of a move, in their order. A resource comes after all that belongs to it."""

    PACKETS = 1
    OUTCOMES = 2
    SUPERSEDED = 3
    DELIVERIES = 4
    RESOURCES = 5
    TOMBSTONES = 6
    DELIVERED = 7


class RowSlice(msgspec.Struct, frozen=True):
    """Some rows of one stage, and the position in it that they reach."""

    stage: MoveStage
    position: int
    rows: Mapping[str, Sequence[Row]]
    """By table."""

    @property
    def number(self) -> int:
        """The number of the rows of the source that it has."""
        return len(next(iter(self.rows.values())))


class Extent(msgspec.Struct, frozen=True):
    """The extent of what is moved."""

    resources: int = 0
    packets: int = 0
    outcomes: int = 0
    deliveries: int = 0
    superseded: int = 0
    remembered: int = 0
    """Ids of resources that have ended and of which nothing is left to do."""

    @property
    def rows(self) -> int:
        """All of them."""
        return sum(msgspec.structs.astuple(self))


class Origin(msgspec.Struct, frozen=True):
    """The source, as the target has to know it."""

    directory: str
    state: str
    """Which every commit changes."""
    clock: float
    uptime: float
    last_resource: int
    """The highest handle."""
    last_superseded: int
    """The lowest handle: they are below 0."""
    last_delivery: int


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """What is added to handles and times of the source, so that they are those of the target."""

    resource: int
    superseded: int
    delivery: int
    node: int
    """Who holds what was in work when the source died: a node that is dead, too."""
    clock: float
    uptime: float
    moved_at: float
    """The time of the target at which the move began."""
