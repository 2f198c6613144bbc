"""The audit log: what people did is stored in the step that does it, and each record once, whatever steps it takes.

An act is known to the task that does it (`collator.ledgers.acts`), so that the verbs of the ledger say nothing of it:
whatever step one of them takes meanwhile carries the act along, and adds what it changed to its record. The log is
bounded: the latest `KEPT` acts, and of refused tokens the latest `REFUSALS_KEPT`, apart, so that nobody can push out
the others.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from collator.ledgers import acts
from collator.ledgers.sqlite.store import Store, as_json
from collator.messages import REFUSED, Act, AuditPage
from collator.text import shorten

_decode_records = msgspec.json.Decoder(list[tuple[int, float, str, str, str, str, int]]).decode


def record(store: Store, act: Act, changed: int) -> None:
    """Add to the log that a step of *act* has *changed* so many."""
    refused = act.verb == REFUSED
    row = [act.id, store.wall, store.now, act.who, act.peer, act.verb, shorten(act.target, 500), changed]
    store.run("record_act", as_json([*row, int(refused)]))
    if not act.stored:  # else a record had its place before: an act may have thousands of steps
        store.run("trim_audit", int(refused), acts.REFUSALS_KEPT if refused else acts.KEPT)
        delete_old(store)


def note(store: Store, act: Act) -> None:
    """Record *act*, which no step of another verb does."""
    record(store, act, act.changed)


def delete_old(store: Store) -> None:
    """Delete some of the records that are older than `LedgerLimits.remember`."""
    if store.ledger_limits.remember is not None:
        store.run("forget_audit", store.now - store.ledger_limits.remember, acts.SLICE)


def page(value: Callable[..., bytes], after: int | None, limit: int, size: int) -> AuditPage:
    """Up to *limit* records, the latest first, that are older than *after*; *value* gives what a statement gives."""
    rows = _decode_records(value("list_audit", acts.NEWEST if after is None else after, limit + 1))
    return acts.page(rows, limit, size)
