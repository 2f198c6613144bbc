"""The nodes of a ledger, and what becomes of its commits, as people see them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec


class NodeReport(msgspec.Struct, frozen=True, kw_only=True):
    """A node: a process that has the ledger open."""

    id: int
    """Its number, by which the ledger knows it; no other node ever gets it."""
    name: str
    """Its host and process id, as in ``web-1:4711``."""
    version: str
    """Its version of Collator."""
    since: str
    """When it opened the ledger, RFC 3339 in UTC."""
    beat: float
    """Seconds since its last beat. One that is silent for 30 s is dead, and others take over what it held."""
    leased: int
    """How many packets it holds leases on."""
    here: bool
    """Whether it is the one that answers."""


class Replication(StrEnum):
    """Where a commit is, besides the server that acknowledged it."""

    NONE = "none"  #: nowhere
    ASYNCHRONOUS = "asynchronous"  #: on a standby, a moment later: a failover may lose the last commits
    SYNCHRONOUS = "synchronous"  #: on a standby, before it is acknowledged: a failover loses nothing


class Standby(msgspec.Struct, frozen=True, kw_only=True):
    """A server that gets the commits of the one in use."""

    name: str
    sync: str
    """As the server calls it: ``sync``, ``quorum``, ``potential`` or ``async``; empty where it does not tell."""
    lag_seconds: float | None
    """How far it is behind in storing commits; null where nothing was written of late."""
    lag_bytes: int | None
    """What it has not stored yet."""


class Durability(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a commit once it is acknowledged."""

    store: str
    """What holds it, as in ``SQLite`` or ``PostgreSQL 15.18``."""
    away: Sequence[str] = ()
    """The parts of the store that cannot be used while the rest goes on, each with the reason."""
    risks: Sequence[str] = ()
    """Why an acknowledged packet may be lost nevertheless, a sentence for each reason."""
    replication: Replication = Replication.NONE
    standbys: Sequence[Standby] = ()
    """The first 20."""
