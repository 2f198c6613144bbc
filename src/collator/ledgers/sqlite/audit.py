"""The audit log: what people did is stored in the step that does it, and each record once, whatever steps it takes.

An act is known to the task that does it (`ACTING`), so that the verbs of the ledger say nothing of it: whatever step
one of them takes meanwhile carries the act along, and adds what it changed to its record. The log is bounded: the
latest `KEPT` acts, and of refused tokens the latest `REFUSALS_KEPT`, apart, so that nobody can push out the others.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

import msgspec

from collator.clock import rfc3339
from collator.ledgers.sqlite.store import Store, as_json
from collator.messages import REFUSED, Act, AuditPage, AuditRecord
from collator.paging import fitting
from collator.text import shorten

KEPT, REFUSALS_KEPT = 10_000, 1_000
"""Records."""
_SLICE = 100  # records that go at a time, because they are old
_NEWEST = 2**62

ACTING: ContextVar[Act | None] = ContextVar("acting", default=None)
"""The act that the task does."""

_decode_records = msgspec.json.Decoder(list[tuple[int, float, str, str, str, str, int]]).decode


def record(store: Store, act: Act, changed: int) -> None:
    """Add to the log that a step of *act* has *changed* so many."""
    refused = act.verb == REFUSED
    row = [act.id, store.wall, store.now, act.who, act.peer, act.verb, shorten(act.target, 500), changed]
    store.run("record_act", as_json([*row, int(refused)]))
    if not act.stored:  # else a record had its place before: an act may have thousands of steps
        store.run("trim_audit", int(refused), REFUSALS_KEPT if refused else KEPT)
        delete_old(store)


def note(store: Store, act: Act) -> None:
    """Record *act*, which no step of another verb does."""
    record(store, act, act.changed)


def delete_old(store: Store) -> None:
    """Delete some of the records that are older than `LedgerLimits.remember`."""
    if store.ledger_limits.remember is not None:
        store.run("forget_audit", store.now - store.ledger_limits.remember, _SLICE)


def page(value: Callable[..., bytes], after: int | None, limit: int, size: int) -> AuditPage:
    """Up to *limit* records, the latest first, that are older than *after*; *value* gives what a statement gives."""
    rows = _decode_records(value("list_audit", _NEWEST if after is None else after, limit + 1))
    records = [
        AuditRecord(id=number, at=rfc3339(at), who=who, peer=peer, verb=verb, target=target, changed=changed)
        for number, at, who, peer, verb, target, changed in rows[:limit]
    ]
    shown = fitting(records, size)
    return AuditPage(records=shown, after=shown[-1].id if len(rows) > len(shown) else None)
