"""The answers of the service, as type checkers see them; at run time each is a plain dictionary with all that it said.

What a key means is said where the service declares it (`collator.messages`, `collator.web`), and in its description.
A test compares these with those declarations, so that neither has what the other has not.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

StateName = Literal["open", "collated", "incomplete", "cancelled"]
"""A state of a resource."""
EndedByName = Literal["last", "total", "idle_timeout", "deadline", "failure", "forced"]
"""What ended a resource."""
DeliveryStateName = Literal["due", "leased", "delivered", "dead"]
"""A state of a delivery."""
PacketStateName = Literal["waiting", "leased", "done", "failed"]
"""A state of a packet."""


class TicketReply(TypedDict):
    """A ticket for the events of a resource."""

    ticket: str
    expires_in: int


class FailedPacketReply(TypedDict):
    """A packet that has failed."""

    index: int
    reason: str
    attempts: int


class RetryingPacketReply(FailedPacketReply):
    """A packet without an outcome whose last attempt failed."""

    due_in: float | None


class DeliveryReply(TypedDict):
    """A delivery, in a list."""

    id: str
    resource_id: str
    webhook_id: str
    endpoint: str
    state: DeliveryStateName
    attempts: int
    reason: str
    created_at: str
    attempted_at: str | None
    due_in: float | None


class AttemptReply(TypedDict):
    """An attempt to deliver."""

    attempt: int
    at: str
    seconds: float
    result: str
    reason: str


class FailedAnswerReply(TypedDict):
    """An answer of a receiver that was no success."""

    at: str
    status: int
    media_type: str
    size: int
    text: str


class DeliveryDetailReply(DeliveryReply):
    """A delivery, with its attempts."""

    log: list[AttemptReply]
    answer: FailedAnswerReply | None
    why_undelivered: str | None


class ReplayedDeliveryReply(DeliveryDetailReply):
    """A delivery that was to be sent again."""

    was: Literal["due", "delivered", "dead"]


class DeliveriesReply(TypedDict):
    """A page of the list of deliveries."""

    deliveries: list[DeliveryReply]
    next_cursor: str | None


class ResourceReply(TypedDict):
    """A resource, with all that is known of it."""

    resource_id: str
    webhook_id: str
    supersedes: str | None
    state: StateName
    completed_by: EndedByName | None
    total: int | None
    metadata: dict[str, Any]
    received: int
    done: int
    failed: int
    missing: list[list[int]]
    missing_more: int
    unfinished: list[list[int]]
    unfinished_more: int
    retrying: list[RetryingPacketReply]
    retrying_more: bool
    failures: list[FailedPacketReply]
    failures_more: int
    opened_at: str
    closed_at: str | None
    deliveries: list[DeliveryReply]
    deliveries_more: int
    why_undelivered: str | None


class ResourceLineReply(TypedDict):
    """A resource, in a list."""

    resource_id: str
    state: StateName
    total: int | None
    received: int
    done: int
    failed: int
    opened_at: str
    closed_at: str | None


class ResourcesReply(TypedDict):
    """A page of the list of resources."""

    resources: list[ResourceLineReply]
    next_cursor: str | None


class PacketReply(TypedDict):
    """A packet; ``payload`` unless that is hidden, ``output`` where it has one."""

    resource_id: str
    index: int
    state: PacketStateName | None
    attempts: int
    reason: str
    due_in: float | None
    seq: int | None
    payload_size: int
    payload: NotRequired[Any]
    output: NotRequired[Any]


class FailureReply(TypedDict):
    """Why a packet has failed."""

    reason: str
    attempts: int


class OutcomeReply(TypedDict):
    """An outcome: look for ``failed`` first where packets may have failed, as one that has has no ``output``."""

    seq: int
    index: int
    output: Any
    failed: NotRequired[FailureReply]


class OutputsReply(TypedDict):
    """Outputs of a resource; ``after_seq`` and ``more`` where they were asked for by ``after_seq``."""

    webhook_id: str
    state: StateName
    completed_by: EndedByName | None
    total: int | None
    outputs: list[OutcomeReply]
    next_cursor: str | None
    after_seq: NotRequired[int]
    more: NotRequired[bool]


class PartialReply(TypedDict):
    """An output of a resource that ended incomplete."""

    index: int
    output: Any


class ResultReply(TypedDict):
    """What the webhook has in ``data``: look for ``partial`` first, as what is incomplete has no ``outputs``."""

    resource_id: str
    completed_by: EndedByName | None
    total: int | None
    metadata: dict[str, Any]
    supersedes: NotRequired[str]
    outputs: list[Any]
    partial: NotRequired[list[PartialReply]]
    missing: NotRequired[list[list[int]]]
    unfinished: NotRequired[list[list[int]]]
    failed: NotRequired[list[FailedPacketReply]]


class RetryReply(TypedDict):
    """How many packets of a resource are tried again."""

    resource_id: str
    retried: int


class RetryAllReply(TypedDict):
    """How many resources and packets are tried again."""

    resources: int
    packets: int


class ReplayAllReply(TypedDict):
    """How many deliveries are sent again."""

    replayed: int


class PurgeReply(TypedDict):
    """That a resource is deleted."""

    resource_id: str
    purged: bool


class RetryPageReply(RetryAllReply):
    """The same of one request, and where the next one begins."""

    next_cursor: str | None


class ReplayPageReply(ReplayAllReply):
    """The same of one request, and where the next one begins."""

    next_cursor: str | None


class AuditRecordReply(TypedDict):
    """An act, as the audit log has it."""

    id: int
    at: str
    who: str
    peer: str
    verb: str
    target: str
    changed: int


class AuditReply(TypedDict):
    """A page of the audit log, the latest record first."""

    records: list[AuditRecordReply]
    next_cursor: str | None
