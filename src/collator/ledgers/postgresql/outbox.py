"""Deliveries: created at a closing, and claimed. How attempts end is in `attempts`, repair in `redelivery`.

A lease on a delivery stands in its row, beside its state: due, delivered or dead (R24). Once it has ended, the delivery
is claimed again, under the same id with the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import count

import asyncpg
import msgspec

from collator.ledgers.postgresql.bodies import Frame, bodies_of, inline_bodies, load_frames
from collator.ledgers.postgresql.leases import DELIVERIES
from collator.ledgers.postgresql.step import Step
from collator.messages import Delivery, Lease
from collator.rules.body import extent, is_large
from collator.rules.capacity import joined_at_once, leased_at_once, mixed
from collator.states import State

_tokens = count(DELIVERIES + (int.from_bytes(os.urandom(5)) << 21) + 1)


class NewDelivery(msgspec.Struct, frozen=True):
    """A delivery that a closing brings about."""

    frame: Frame
    whole: int
    """Bytes of its body, at most."""
    resource_id: str
    generation: bytes
    endpoint: str
    known_at: float


async def store_ends(
    step: Step, ends: Sequence[Sequence[object]], new_deliveries: Sequence[NewDelivery], capacity: Mapping[str, int]
) -> tuple[list[Delivery], frozenset[str]]:
    """Store *ends*, rows of resources, and their *new_deliveries* as due; lease what fits *capacity*, none large.

    Gives what is leased, and the endpoints of all else.
    """
    takes = leased_at_once(((one.endpoint, one.whole) for one in new_deliveries), capacity, step.paused)
    tokens = [next(_tokens) if taken else 0 for taken in takes]
    until = step.running + step.ledger_limits.delivery_lease
    rows = [
        (place, new.frame.resource_row, new.endpoint, is_large(new.whole), token)
        for place, (new, token) in enumerate(zip(new_deliveries, tokens, strict=True))
    ]
    leased = [one for one, taken in zip(new_deliveries, takes, strict=True) if taken]
    fit = {*joined_at_once((one.frame.resource_row, one.whole) for one in leased)}
    frames = {one.frame.resource_row: one.frame for one in leased if one.frame.resource_row in fit}
    found = await step.rows(
        "close_resources",
        *zip(*ends, strict=True),
        *(zip(*rows, strict=True) if rows else [[]] * 5),
        step.now, step.node, until, [*frames],
    )  # fmt: skip
    step.wrote = True
    step.count(due=len(new_deliveries))
    handles = {(row["rk"], row["endpoint"]): row["did"] for row in found if row["did"] is not None}
    outputs = [(row["k"], row["output"], row["crc"]) for row in found if row["did"] is None]
    bodies = bodies_of([*frames.values()], outputs)
    handed = []
    for one, token in zip(new_deliveries, tokens, strict=True):
        if token:
            row = one.frame.resource_row
            lease = Lease(handles[row, one.endpoint], token)
            made = (one.resource_id, one.generation, one.endpoint, 1, 0, lease, bodies.get(row), one.known_at)
            handed.append(Delivery(*made))
    others = (one.endpoint for one, taken in zip(new_deliveries, takes, strict=True) if not taken)
    return handed, frozenset(others)


async def claim_deliveries(
    step: Step,
    endpoint: str,
    capacity: int,
    large: bool,  # noqa: FBT001 - a step takes its call as it came
    probe: bool,  # noqa: FBT001 - as above
) -> list[Delivery]:
    """Lease up to *capacity* due deliveries of *endpoint*; for a *probe* the least tried, then the next to be due.

    Where more are due, those that are longest due and those that have just become due take turns.
    """
    if endpoint in step.paused or capacity <= 0:
        return []
    asked = (endpoint, large, step.now, step.running, capacity)
    order = "deliveries_to_probe" if probe else "due_deliveries"
    found = [row["did"] for row in await step.rows(order, *asked)]
    if found and len(found) == capacity and not probe:
        share, odd = divmod(capacity, 2)
        share += await step.value("next_share", endpoint, large) if odd else 0
        found = mixed(found, [row["did"] for row in await step.rows("latest_deliveries", *asked)], capacity, share)
    if not found:
        return []
    until = step.running + step.ledger_limits.delivery_lease
    tokens = [next(_tokens) for _ in found]
    leased = await step.rows("lease_deliveries", found, tokens, step.running, step.node, until)
    step.wrote = True
    by_handle = {row["did"]: row for row in leased}
    rows = [by_handle[handle] for handle in found if handle in by_handle]
    bodies = await inline_bodies(step, await load_frames(step, joined_at_once(map(_extent, rows))))
    return [_leased(row, bodies.get(row["rk"])) for row in rows]


async def bring_forward(
    step: Step,
    endpoint: str,
    within: float,
    large: bool,  # noqa: FBT001 - a step takes its call as it came
) -> int:
    """Make due what waits for *endpoint* for no longer than *within* seconds, or was put off; how many that were."""
    return await step.run("bring_forward", endpoint, large, step.now, step.now + within, step.running)


def _extent(row: asyncpg.Record) -> tuple[int, int]:
    state = State(row["resource_state"])
    return row["rk"], extent(state, done=row["done"], size=row["body_size"], frame=row["frame"])


def _leased(row: asyncpg.Record, body: bytes | None) -> Delivery:
    lease = Lease(row["did"], row["token"])
    return Delivery(
        row["id"], row["generation"], row["endpoint"], row["attempts"] + 1, row["step"], lease, body, large=row["large"]
    )
