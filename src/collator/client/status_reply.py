"""The answer of the service about itself, as type checkers see it; see `replies`."""

from __future__ import annotations

from typing import Literal, TypedDict

from collator.client.replies import DeliveryReply


class FailingReply(TypedDict):
    """Calls of the processor that failed alike of late."""

    reason: str
    times: int
    last_at: str
    resource_id: str
    index: int
    due_in: float | None


class CountsReply(TypedDict):
    """How much is stored."""

    open: int
    collated: int
    incomplete: int
    cancelled: int
    waiting: int
    backlog: int
    open_bytes: int
    due: int
    dead: int
    remembered: int


class NodeReply(TypedDict):
    """A process that has the ledger open."""

    id: int
    name: str
    version: str
    since: str
    beat: float
    leased: int
    here: bool


class WorkerStatusReply(TypedDict):
    """A Celery worker."""

    name: str
    host: str
    pool: str
    processor: str
    version: str
    calls: int
    jobs: int
    packets: int
    beat: float
    trouble: str


class StandbyReply(TypedDict):
    """A server that gets the commits of the one in use."""

    name: str
    sync: str
    lag_seconds: float | None
    lag_bytes: int | None


class DurabilityReply(TypedDict):
    """What becomes of commits."""

    store: str
    away: list[str]
    risks: list[str]
    replication: Literal["none", "asynchronous", "synchronous"]
    standbys: list[StandbyReply]


class AttentionReply(TypedDict):
    """An endpoint that needs the attention of a person."""

    endpoint: str
    causes: list[Literal["paused", "not_configured", "failing", "overdue", "dead"]]
    why_not_sent: str | None
    next_try_in: float | None
    due: int
    due_more: bool
    oldest_due: DeliveryReply | None
    dead: int
    dead_more: bool
    oldest_dead: DeliveryReply | None


class UnderWayReply(TypedDict):
    """What a node is working on."""

    packets: int
    deliveries: int


class StatusReply(TypedDict):
    """The status of a service."""

    version: str
    ready: bool
    reasons: list[str]
    failing: list[FailingReply]
    paused: list[str]
    paused_more: int
    attention: list[AttentionReply]
    stored: CountsReply | None
    nodes: list[NodeReply]
    workers: list[WorkerStatusReply]
    durability: DurabilityReply | None
    under_way: UnderWayReply
