"""The steps of a retry (R16): failed packets of open resources wait again, resources that ended early are opened again.

A resource that ended goes on in its row, with its packets and outputs, as a new generation. What it was before, the
frame of its body and its deliveries, stays under a handle of its own: outputs are numbered as they are recorded (R26),
so that the body of each generation has those up to its last number, byte for byte as before.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from collator.errors import CollatorError, Unavailable, Unknown
from collator.ledgers.postgresql.closure import span
from collator.ledgers.postgresql.leases import as_lease, count_returned, store_waiting
from collator.ledgers.postgresql.lookup import find
from collator.ledgers.postgresql.step import Step
from collator.ledgers.repair_steps import ReopenResult, RetryResult
from collator.messages import UnfinishedResource, webhook_id
from collator.rules.expiry import first_times
from collator.rules.repair import check_limits, check_reopening, reopen, retries, withdraw
from collator.rules.resource import INDEX_BITS, INDEX_MASK, Snapshot
from collator.states import State

ROWS = 256
"""Failures that one step withdraws."""
RESOURCES = 16
"""Resources that one step opens again."""


async def retry(step: Step, resource_id: str, after: int) -> RetryResult:
    """Give failed packets of an open resource, `ROWS` behind the index *after*, a new set of attempts (R16).

    `Ended` where it ends between two steps.
    """
    snapshot = await find(step, resource_id)
    if snapshot.state is not State.OPEN and after < 0:
        return RetryResult(0, INDEX_MASK, ended=True)
    first, last = span(snapshot.key)
    if not retries(snapshot):
        return RetryResult(0, INDEX_MASK)
    keys = [row["k"] for row in await step.rows("failed_keys", first + after, last, ROWS)]
    if keys:
        await _withdraw(step, snapshot, keys)
    more = len(keys) == ROWS and snapshot.failed
    return RetryResult(len(keys), keys[-1] & INDEX_MASK if more else INDEX_MASK)


async def reopen_one(step: Step, resource_id: str) -> int:
    """Open a resource that has ended early again; how many packets wait again, 0 where it is open. `Ended`."""
    snapshot = await find(step, resource_id)
    return 0 if snapshot.state is State.OPEN else await _reopen(step, snapshot)


async def reopen_all(step: Step, wanted: Sequence[UnfinishedResource]) -> ReopenResult:
    """Open the first `RESOURCES` of *wanted* again that are as they were found, as far as a limit allows it."""
    reopened = ReopenResult()
    for one in wanted[:RESOURCES]:  # in the order of their ids, as all lock them
        try:
            snapshot = await find(step, one.resource_id)
            if webhook_id(snapshot.resource_id, snapshot.generation) == one.webhook_id:  # else it was retried since
                reopened.packets += await _reopen(step, snapshot)
                reopened.resources += 1
        except Unavailable as refusal:
            reopened.refusal = refusal
            break
        except CollatorError:  # it has gone, or cannot be opened again: the others can
            pass
        reopened.looked += 1
    return reopened


async def _reopen(step: Step, snapshot: Snapshot) -> int:
    """Open *snapshot*, which has ended, as a new generation; how many packets wait again. `Ended`, `Unavailable`."""
    ((withdrawn, purging, superseded),) = await step.rows("before_reopening", snapshot.key)
    if purging:
        raise Unknown(f"resource {snapshot.resource_id!r} is being removed after its retention")
    check_reopening(snapshot, superseded=superseded)
    first, last = span(snapshot.key)
    size = await step.value("failed_size", first, last) if snapshot.failed else 0
    size += await step.value("unfinished_size", first, last) if snapshot.unfinished else 0
    growth = check_limits(snapshot, size, counts=step.counts, limits=step.ledger_limits)
    await step.run("supersede", snapshot.key)
    await step.run("forget_failures", first, last)
    # An outcome of the old generation must not touch the new one (R11), and what a claim put back as it ended is over.
    leases = [as_lease(row) for row in await step.rows("end_leases_of", snapshot.key)]
    count_returned(step, [held for lease in leases for held in lease.drop_all()])
    await step.run("forget_waiting", snapshot.key)
    await step.run("wait_unfinished", first, last)
    was = snapshot.state
    waiting = reopen(snapshot, os.urandom(16), withdrawn=withdrawn)
    times = first_times(step.ledger_limits, uptime=step.active, now=step.now)
    opened = (snapshot.generation, snapshot.withdrawn, step.wall, step.active, *times)
    await step.run("reopen_resource", snapshot.key, *opened)
    step.count(open=1, waiting=waiting, backlog=size + growth, open_bytes=growth, **{was.value: -1})
    return waiting


async def _withdraw(step: Step, snapshot: Snapshot, keys: Sequence[int]) -> None:
    """Let the failures *keys* of *snapshot* be due again."""
    await step.run("forget_outcomes", keys)
    await step.run("withdraw_numbers", snapshot.key, len(keys))
    await store_waiting(step, [(key >> INDEX_BITS, key & INDEX_MASK) for key in keys])
    step.count(waiting=len(keys), backlog=await step.value("backlog_of", keys))
    withdraw(snapshot, len(keys))
    progress = [snapshot.key, snapshot.done, snapshot.failed, snapshot.body_size]
    await step.run_rows("progress_resources", [progress], step.active)
