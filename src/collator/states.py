"""The tables of states: what a resource, a packet and a delivery may become. A step that is not here raises.

The docs print their diagrams from these tables (`diagram`), so that they cannot drift from the code.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class State(StrEnum):
    """The state of a resource."""

    OPEN = "open"
    COLLATED = "collated"
    INCOMPLETE = "incomplete"
    CANCELLED = "cancelled"


class PacketState(StrEnum):
    """The state of a packet."""

    WAITING = "waiting"
    LEASED = "leased"
    DONE = "done"
    FAILED = "failed"


class DeliveryState(StrEnum):
    """The state of a delivery."""

    DUE = "due"
    LEASED = "leased"
    DELIVERED = "delivered"
    DEAD = "dead"


class EndedBy(StrEnum):
    """The reason why a resource ended, as the webhook says it in `completed_by` (R17)."""

    LAST = "last"
    TOTAL = "total"
    IDLE_TIMEOUT = "idle_timeout"
    DEADLINE = "deadline"
    FAILURE = "failure"
    FORCED = "forced"


class OnFailure(StrEnum):
    """The consequence of a failed packet for its resource (R16)."""

    INCOMPLETE = "incomplete"  #: go on with the others, and close as incomplete when all have an outcome
    FAIL_FAST = "fail_fast"  #: close at once
    HOLD = "hold"  #: stay open until a person retries or forces, or the deadline comes


StepTable = Mapping[StrEnum, Mapping[StrEnum, str]]

RESOURCE_STEPS: StepTable = {
    State.OPEN: {State.COLLATED: "finished", State.INCOMPLETE: "closed early", State.CANCELLED: "by a person"},
    State.COLLATED: {},
    State.INCOMPLETE: {State.OPEN: "retry by a person"},
    State.CANCELLED: {},
}
PACKET_STEPS: StepTable = {
    PacketState.WAITING: {PacketState.LEASED: "claimed"},
    PacketState.LEASED: {
        PacketState.DONE: "output",
        PacketState.FAILED: "attempts exhausted",
        PacketState.WAITING: "retry, lease lost, released",
    },
    PacketState.FAILED: {PacketState.WAITING: "retry by a person"},
    PacketState.DONE: {},
}
DELIVERY_STEPS: StepTable = {
    DeliveryState.DUE: {DeliveryState.LEASED: "claimed", DeliveryState.DEAD: "given up by a person"},
    DeliveryState.LEASED: {
        DeliveryState.DELIVERED: "2xx",
        DeliveryState.DUE: "retry, lease lost, released",
        DeliveryState.DEAD: "attempts exhausted",
    },
    DeliveryState.DELIVERED: {DeliveryState.DUE: "replay"},
    DeliveryState.DEAD: {DeliveryState.DUE: "replay", DeliveryState.DELIVERED: "a late 2xx"},
}


class IllegalStepError(AssertionError):
    """A step that is not in the tables: a defect in Collator, never a user's fault."""


def check_step(table: StepTable, old: StrEnum, new: StrEnum) -> None:
    """Raise `IllegalStepError` unless *table* has the step from *old* to *new*."""
    if new not in table[old]:
        raise IllegalStepError(f"{type(old).__name__}: {old} -> {new} is not a step; from {old}: {[*table[old]]}")


def diagram(table: StepTable) -> str:
    """*table* as lines of text, one state a line; the docs print these."""
    width = max(len(state) for state in table)
    rows = ((state, ", ".join(f"{new} ({why})" for new, why in steps.items())) for state, steps in table.items())
    return "\n".join(f"{state:{width}} -> {steps}" if steps else f"{state:{width}} (end)" for state, steps in rows)
