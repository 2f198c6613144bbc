"""The steps of a retry (R16): failed packets of open resources wait again, resources that ended early are opened again.

A resource that ended goes on in its row, with its packets and outputs, as a new generation. What it was before, the
frame of its body and its deliveries, stays under a handle of its own: outputs are numbered as they are recorded (R26),
so that the body of each generation has those up to its last number, byte for byte as before.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import msgspec

from collator.errors import CollatorError, Unavailable, Unknown
from collator.ledgers.repair_steps import ReopenResult, RetryResult
from collator.ledgers.sqlite.closure import span
from collator.ledgers.sqlite.lookup import find
from collator.ledgers.sqlite.slices import ROWS
from collator.ledgers.sqlite.store import Store, as_json
from collator.messages import UnfinishedResource, webhook_id
from collator.rules.expiry import first_times
from collator.rules.repair import check_limits, check_reopening, reopen, retries, withdraw
from collator.rules.resource import INDEX_MASK, Snapshot
from collator.states import State


class _Failed(msgspec.Struct, frozen=True):
    """Failures of a resource."""

    keys: list[int]
    last: int | None
    """Where there are more, the key behind which they are."""


_decode_failed = msgspec.json.Decoder(_Failed).decode


def retry(store: Store, resource_id: str, after: int) -> RetryResult:
    """Give the failed packets of an open resource, behind the index *after*, a new set of attempts (R16).

    As many as a slice lasts for. `Ended` where it ends between two steps.
    """
    snapshot = find(store, resource_id)
    if snapshot.state is not State.OPEN and after < 0:
        return RetryResult(0, INDEX_MASK, ended=True)
    first, last = span(snapshot.key)
    retried = RetryResult(0, first + after if retries(snapshot) else last)
    time = store.slice()
    while retried.after < last and time.lasts():
        looked = _decode_failed(store.value("failed_keys", retried.after, last, ROWS).encode())
        _withdraw(store, snapshot, looked.keys)
        retried.number += len(looked.keys)
        retried.after = last if looked.last is None or not snapshot.failed else looked.last
    retried.after -= first
    return retried


def reopen_one(store: Store, resource_id: str) -> int:
    """Open a resource that has ended early again; how many packets wait again, 0 where it is open. `Ended`."""
    snapshot = find(store, resource_id)
    return 0 if snapshot.state is State.OPEN else _reopen(store, snapshot)


def reopen_all(store: Store, wanted: Sequence[UnfinishedResource]) -> ReopenResult:
    """Open those of *wanted* again that are as they were found, as long as a slice lasts and a limit allows it."""
    reopened = ReopenResult()
    for one in store.slice().take(wanted):
        try:
            snapshot = find(store, one.resource_id)
            if webhook_id(snapshot.resource_id, snapshot.generation) == one.webhook_id:  # else it was retried since
                reopened.packets += _reopen(store, snapshot)
                reopened.resources += 1
        except Unavailable as refusal:
            reopened.refusal = refusal
            break
        except CollatorError:  # it has gone, is damaged, or cannot be opened again: the others can
            pass
        reopened.looked += 1
    return reopened


def _reopen(store: Store, snapshot: Snapshot) -> int:
    """Open *snapshot*, which has ended, as a new generation; how many packets wait again. `Ended`, `Unavailable`."""
    withdrawn, purging, superseded = store.value("before_reopening", snapshot.key)
    if purging:
        raise Unknown(f"resource {snapshot.resource_id!r} is being removed after its retention")
    check_reopening(snapshot, superseded=superseded)
    first, last = span(snapshot.key)
    size = store.value("failed_size", first, last) if snapshot.failed else 0
    size += store.value("unfinished_size", first, last) if snapshot.unfinished else 0
    growth = check_limits(snapshot, size, counts=store.counts, limits=store.ledger_limits)
    store.run("supersede", snapshot.key)
    store.run("leave_deliveries", snapshot.key)
    _wait_again(store, snapshot, first, last)
    was = snapshot.state
    waiting = reopen(snapshot, os.urandom(16), withdrawn=withdrawn)
    silent, overdue = first_times(store.ledger_limits, uptime=store.active, now=store.now)
    opened = (snapshot.generation.hex(), snapshot.withdrawn, store.wall, store.active, silent, overdue)
    store.run("reopen_resource", snapshot.key, *opened)
    store.count(open=1, waiting=waiting, backlog=size + growth, open_bytes=growth, **{was.value: -1})
    return waiting


def _wait_again(store: Store, snapshot: Snapshot, first: int, last: int) -> None:
    """Let the packets of *snapshot* that have no output wait for a worker."""
    if snapshot.failed:
        store.ready += store.run("ready_failures", first, last)
        store.run("forget_failures", first, last)
    if snapshot.unfinished:
        store.packets.end_resource(snapshot.key)  # an outcome of the old generation must not touch the new one (R11)
        store.ready += store.run("ready_unfinished", first, last)


def _withdraw(store: Store, snapshot: Snapshot, keys: Sequence[int]) -> None:
    """Let the failures *keys* of *snapshot* be due again."""
    if not keys:
        return
    rows = as_json(keys)
    store.run("withdraw_failures", rows)
    store.run("withdraw_numbers", snapshot.key, len(keys))
    store.ready += store.run("add_ready", rows)
    store.count(waiting=len(keys), backlog=store.value("backlog_of", rows))
    withdraw(snapshot, len(keys))
    progress = [snapshot.key, snapshot.done, snapshot.failed, snapshot.body_size]
    store.run_rows("progress_resources", [progress], store.active)
