"""The plan of results: what each does to its packet and its resource. Pure; rules R2, R12, R19, R26 and P2.

The lease decides who may speak: a result whose lease is lost changes nothing, and so does one for a resource that has
ended (R12). An output that would make the body too large fails its packet (R19). Every outcome gets the next number of
its resource (R26). An attempt that ended for no fault of the packet is not used up (R27).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Protocol

import msgspec

from collator.messages import Failure, Key, Output, Recorded, Result, Retry
from collator.rules.footprint import of_packet, of_packets
from collator.rules.resource import INDEX_BITS, INDEX_MASK, Snapshot
from collator.states import State

OutcomeRow = tuple[int, bytes | None, str | None, int, int]
"""Key, output or `None`, reason of a failure, attempts, number in its resource. A tuple, as each packet has one."""


class LeasedPacket(Protocol):
    """A packet as its lease knows it."""

    key: int
    size: int
    """Bytes of its payload."""
    attempt: int
    tried: bool
    """Whether the store has a row on earlier attempts of it."""


_Given = tuple[Result, LeasedPacket | None]
_TOGETHER = 2
"""Results from which it takes less time to take them together."""


class OutcomePlan(msgspec.Struct):
    """The plan for a batch of results, before any of it is stored."""

    statuses: list[Recorded] = []
    """One for each result, in order."""
    outcomes: list[OutcomeRow] = []
    output_bytes: int = 0
    """Bytes of the outputs among them."""
    retries: list[tuple[int, int, float, str]] = []
    """Key, attempts used up, when it is due again, reason."""
    tried: list[int] = []
    """Packets whose row on earlier attempts can go."""
    failed: dict[int, Key] = {}
    """Packets that have failed for good, by the place of their result."""
    touched: dict[int, Snapshot] = {}
    """Snapshots that got outcomes, by handle."""
    known_at: dict[int, float] = {}
    """When the last output of each of them was known."""
    backlog: int = 0
    """What the packets that got an outcome counted as backlog."""


def plan_results(
    results: Iterable[_Given],
    snapshots: Mapping[int, Snapshot],
    *,
    max_body: int,
    now: float,
) -> OutcomePlan:
    """Decide *results*, each with what its lease held, as one by one; *snapshots*, by handle, change as they go on."""
    plan = OutcomePlan()
    for resource_key, some in groupby(results, lambda one: None if one[1] is None else one[1].key >> INDEX_BITS):
        snapshot = None if resource_key is None else snapshots.get(resource_key)
        given = [*some]
        if snapshot and len(given) >= _TOGETHER and _conclude_together(plan, given, snapshot, max_body):
            continue
        for result, held in given:
            if held is None:
                status = Recorded.LOST
            elif snapshot is None or snapshot.state is not State.OPEN:
                status = Recorded.CLOSED
            elif isinstance(result, Retry):
                status = Recorded.RECORDED
                used = held.attempt if result.counted else held.attempt - 1
                plan.retries.append((held.key, used, now + result.delay, result.reason))
            else:
                status = Recorded.RECORDED
                _conclude(plan, result, held, snapshot, max_body)
            plan.statuses.append(status)
    return plan


def _conclude_together(plan: OutcomePlan, given: Sequence[_Given], snapshot: Snapshot, max_body: int) -> bool:
    """Give the packets of *snapshot* their outputs at once, if nothing is odd about any of them; whether that is so."""
    plain = [(held, result) for result, held in given if held is not None and type(result) is Output and not held.tried]
    size = snapshot.body_size + sum([len(result.output) for _, result in plain]) + len(plain)
    if len(plain) < len(given) or snapshot.state is not State.OPEN or size > max_body:
        return False
    plan.outcomes += [
        (held.key, result.output, None, held.attempt, seq) for seq, (held, result) in enumerate(plain, snapshot.seq + 1)
    ]
    plan.output_bytes += size - snapshot.body_size - len(plain)
    snapshot.done += len(plain)
    snapshot.body_size = size
    plan.known_at[snapshot.key] = plain[-1][1].known_at
    plan.touched[snapshot.key] = snapshot
    plan.backlog += of_packets([held.size for held, _ in plain])
    plan.statuses += [Recorded.RECORDED] * len(plain)
    return True


def _conclude(
    plan: OutcomePlan, result: Output | Failure, held: LeasedPacket, snapshot: Snapshot, max_body: int
) -> None:
    """Give the packet that is *held* its outcome."""
    if held.tried:
        plan.tried.append(held.key)
    if not isinstance(result, Output):
        _fail(plan, snapshot, held, result.reason)
    elif (size := snapshot.body_size + len(result.output) + 1) > max_body:
        _fail(plan, snapshot, held, f"the collated body would have {size} bytes, more than {max_body} (max_body)")
    else:
        snapshot.done += 1
        snapshot.body_size = size
        plan.outcomes.append((held.key, result.output, None, held.attempt, snapshot.seq))
        plan.output_bytes += len(result.output)
        plan.known_at[snapshot.key] = result.known_at
    plan.touched[snapshot.key] = snapshot
    plan.backlog += of_packet(held.size)


def _fail(plan: OutcomePlan, snapshot: Snapshot, held: LeasedPacket, reason: str) -> None:
    snapshot.failed += 1
    plan.failed[len(plan.statuses)] = Key(snapshot.resource_id, snapshot.generation, held.key & INDEX_MASK)
    plan.outcomes.append((held.key, None, reason, held.attempt, snapshot.seq))
