"""Packets that wait: handed out fairly, taken back when a lease ends, is released, or its node has died.

Fair between resources: a claim goes round the resources that have waiting packets, from behind the one where the last
claim of any node ended, and takes an equal share of each. Suspects, which were in work when their node died, go before
all others (docs/decisions/003-after-an-unclean-stop.md). What another node is just claiming is skipped.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from operator import itemgetter

import asyncpg

from collator.ledgers.postgresql.closure import close_finished
from collator.ledgers.postgresql.leases import (
    DELIVERIES,
    Held,
    NewLease,
    StoredLease,
    as_lease,
    count_returned,
    grant,
    lock_leases,
    store_dropped,
    store_waiting,
)
from collator.ledgers.postgresql.records import apply_results, held_rows, lock_rows
from collator.ledgers.postgresql.step import Step
from collator.messages import Failure, Lease, Run
from collator.rules.resource import INDEX_BITS, INDEX_MASK
from collator.rules.suspects import alone_for, alone_runs, lethal
from collator.states import State

TURN = 16
"""Resources in a claim, at least, where so many wait: no one of them fills the window of a slow processor."""
QUANTUM = 32
"""Packets of one resource in a large claim. Outcomes of neighbours share the read and the write of their resource."""
ROWS = 256
"""Retries, and leases that have ended, that are taken back in one step."""
READ_AT_ONCE = 8 * 1024 * 1024
"""Bytes of payloads that are read in one go."""
EVER = 2**31 - 1
"""More suspects, or deaths, than there will be."""


async def claim(step: Step, capacity: int) -> list[Run] | None:
    """Lease up to *capacity* due packets; `None` where others are just claiming all that wait."""
    await refresh(step)
    full = step.leased >= step.ledger_limits.max_leased
    if capacity <= 0 or full or await step.value("is_alone", step.running):
        return []
    if step.suspects and (suspects := await _claim_suspects(step, capacity)) is not None:
        return suspects
    places = await _take_fair(step, capacity)
    return None if places is None else await _hand_out(step, places, {})


async def refresh(step: Step) -> None:
    """Make ready what has fallen due: retries whose time has come, packets whose lease or node has ended."""
    for node in step.dead_nodes:
        await mark_dead(step, node)
    lost = await _take_back(step, await step.rows("ended_leases", step.running, ROWS), by=step.running)
    await step.run_rows("count_lost", [(held.key, held.attempt) for _, held in lost], "the lease was lost")
    await _wait_again(step, lost)
    due = [row["k"] for row in await step.rows("take_due_retries", step.now, ROWS)]
    step.wrote |= bool(due)
    await store_waiting(step, [(key >> INDEX_BITS, key & INDEX_MASK) for key in due])


async def work_due(step: Step) -> bool:
    """Return whether packets are due that nobody holds."""
    await refresh(step)
    return bool(await step.value("work_waits"))


async def renew(step: Step, leases: Sequence[Lease]) -> list[bool]:
    """Prolong *leases* from now; False for each that is no longer held."""
    stored = await lock_leases(step, leases)
    held = [
        (one := stored.get(lease.token)) is not None
        and one.resource_row == lease.key
        and one.held(lease.position) is not None
        for lease in leases
    ]
    tokens = {lease.token for lease, holds in zip(leases, held, strict=True) if holds}
    if tokens:
        await step.run("renew_leases", [*tokens], step.running + step.ledger_limits.task_lease)
    return held


async def release(step: Step, leases: Sequence[Lease]) -> None:
    """Give back *leases*, on packets and on deliveries."""
    open_rows = await _lock_open(step, {lease.key for lease in leases if lease.token < DELIVERIES})
    stored = await lock_leases(step, leases)
    given_back: list[tuple[StoredLease, Held]] = []
    for lease in leases:
        one = stored.get(lease.token)
        if one is not None and one.resource_row == lease.key and (held := one.drop(lease.position)) is not None:
            given_back.append((one, held))
    count_returned(step, [held for _, held in given_back])
    await store_dropped(step, stored.values())
    await _wait_again(step, [one for one in given_back if one[0].resource_row in open_rows])
    deliveries = [(lease.key, lease.token) for lease in leases if lease.token >= DELIVERIES]
    await step.run_rows("release_deliveries", deliveries)


async def give_back(step: Step, node: int) -> None:
    """Give back all that *node* holds, as it stops."""
    await _wait_again(step, await _take_back(step, await step.rows("leases_of_node", node)))
    await step.run("release_deliveries_of", node)


async def mark_dead(step: Step, node: int) -> None:
    """End the leases of *node*, which is dead; what it had in work are suspects, and fail where they died too often."""
    if not await step.run("forget_node", node):
        return  # another node does
    found = [held.key for _, held in await _take_back(step, await step.rows("leases_of_node", node))]
    if found:  # who was not alone may be innocent
        await step.run("suspect", found, int(len(found) == 1), step.ledger_limits.side_by_side)
        step.suspects = True
    await step.run("release_deliveries_of", node)
    rows = await step.rows("lethal", found, step.ledger_limits.max_deaths) if found else []
    await _fail(
        step,
        [(lethal(deaths), Held(key, size, max(attempts, deaths), tried=True)) for key, size, attempts, deaths in rows],
    )


async def _fail(step: Step, failed: Sequence[tuple[Failure, Held]]) -> None:
    if failed:
        snapshots = await lock_rows(step, held_rows(held for _, held in failed))
        plan = await apply_results(step, [*failed], snapshots)
        await close_finished(step, [*plan.touched.values()], capacity={}, known_at={})


async def _take_back(
    step: Step, found: Sequence[asyncpg.Record], *, by: float = math.inf
) -> list[tuple[StoredLease, Held]]:
    """End the leases *found* that end *by* then; what they held of open resources."""
    if not found:
        return []
    open_rows = await _lock_open(step, {row["rk"] for row in found})
    ended = [as_lease(row) for row in await step.rows("end_leases", [row["token"] for row in found], by)]
    step.wrote |= bool(ended)
    held = [(lease, one) for lease in ended for one in lease.drop_all()]
    count_returned(step, [one for _, one in held])
    return [(lease, one) for lease, one in held if lease.resource_row in open_rows]


async def _lock_open(step: Step, resource_rows: set[int]) -> set[int]:
    """Lock *resource_rows* before their leases, so that none ends meanwhile; the open ones: of others nothing waits."""
    snapshots = await lock_rows(step, resource_rows)
    return {resource_row for resource_row, one in snapshots.items() if one.state is State.OPEN}


async def _wait_again(step: Step, returned: Sequence[tuple[StoredLease, Held]]) -> None:
    """Let packets of open resources wait for a worker again, and a suspect for its turn."""
    places = [(held.key >> INDEX_BITS, held.key & INDEX_MASK) for lease, held in returned if not lease.suspect]
    await store_waiting(step, places)
    suspects = [held.key for lease, held in returned if lease.suspect]
    if suspects:
        await step.run("suspects_wait", suspects)


async def _claim_suspects(step: Step, capacity: int) -> list[Run] | None:
    """Lease the suspects whose turn it is; `None` where other packets may be handed out now."""
    await step.value("one_at_a_time")  # two nodes that claim at once hand out no two suspects that are to be alone
    if await step.value("is_alone", step.running):
        return []
    together = step.ledger_limits.side_by_side
    if await step.value("suspect_waits", together) and not await step.value("none_beside", step.running):
        return []  # before one is taken, which would then be neither leased nor waiting
    alone = await _waiting_suspects(step, together, EVER, 1)
    waiting = alone or await _waiting_suspects(step, 0, together, capacity)
    if not waiting:
        return None
    runs = await _hand_out(step, [(key >> INDEX_BITS, key & INDEX_MASK) for key in waiting], waiting)
    return alone_runs(runs, alone, step.ledger_limits) if alone else runs


async def _waiting_suspects(step: Step, above: int, most: int, limit: int) -> dict[int, int]:
    """Up to *limit* suspects that were in work at more than *above* and up to *most* deaths, and at how many."""
    rows = sorted(await step.rows("take_suspects", above, most, limit), key=itemgetter("k"))
    step.wrote |= bool(rows)
    return {row["k"]: row["stops"] for row in rows}


async def _take_fair(step: Step, capacity: int) -> list[tuple[int, int]] | None:
    """Take up to *capacity* packets from those that wait, resources in turns: (resource, index).

    `None` where all that wait are just taken by others.
    """
    turn = [row["rk"] for row in await step.rows("next_resources", max(min(capacity, TURN), capacity // QUANTUM))]
    if not turn:
        return []
    quantum = -(-capacity // len(turn))
    rows = await step.rows("take_waiting", turn, quantum)
    if not rows:
        return None
    step.wrote = True
    there: dict[int, list[int]] = {}
    for row in rows:
        there.setdefault(row["rk"], []).extend(row["indexes"])
    places: list[tuple[int, int]] = []
    left: list[tuple[int, int]] = []
    for resource_row in turn:
        indexes = sorted(there.get(resource_row, ()))
        takes = min(quantum, capacity - len(places))
        places += [(resource_row, index) for index in indexes[:takes]]
        left += [(resource_row, index) for index in indexes[takes:]]
    await store_waiting(step, left)
    if places:
        await step.value("set_turn", places[-1][0])
    return places


async def _hand_out(step: Step, places: Sequence[tuple[int, int]], stops: Mapping[int, int]) -> list[Run]:
    """Lease *places*, as far as there is free for their bytes; *stops*: at how many deaths each suspect was in work."""
    if not places:
        return []
    free = step.ledger_limits.max_leased - step.leased
    keys = [resource_row << INDEX_BITS | index for resource_row, index in places]
    rows = {row["k"]: row for row in await step.rows("load_tasks", keys, min(free, READ_AT_ONCE), step.leased == 0)}
    leases: list[NewLease] = []
    left: list[int] = []
    damaged: list[tuple[Failure, Held]] = []
    for key in keys:
        row = rows.get(key)
        if row is None or row["state"] != "open":
            continue  # its resource has ended meanwhile
        payload: bytes | None = row["payload"]
        if payload is None:
            left.append(key)
        elif zlib.crc32(payload) != row["crc"]:
            held = Held(key, len(payload), (row["attempts"] or 0) + 1, row["attempts"] is not None)
            damaged.append((Failure(Lease(0, 0), "the stored payload does not match its checksum"), held))
        else:
            _add(step, leases, row, payload, stops.get(key))
    if stops:
        if left:
            await step.run("suspects_wait", left)
    else:
        await store_waiting(step, [(key >> INDEX_BITS, key & INDEX_MASK) for key in left])
    await grant(step, leases)
    await _fail(step, damaged)
    return [lease.run for lease in leases]


def _add(step: Step, leases: list[NewLease], row: asyncpg.Record, payload: bytes, stops: int | None) -> None:
    """Lease the packet of *row*, beside the one before it where both are of one resource."""
    resource_row = row["k"] >> INDEX_BITS
    if not leases or leases[-1].resource_row != resource_row:
        leases.append(NewLease(step, resource_row, row["id"], row["generation"], row["metadata"]))
    lease = leases[-1]
    if stops is not None:
        alone = alone_for(stops, step.ledger_limits)
        lease.suspect, lease.alone_until = True, step.running + alone if alone else 0.0
    attempts = row["attempts"]
    lease.add(step, Held(row["k"], len(payload), (attempts or 0) + 1, attempts is not None), payload)
