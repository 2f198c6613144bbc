"""The audit log: what people did is stored in the step that does it, and each record once, whatever steps it takes.

An act is known to the task that does it (`ACTING`), so that the verbs of the ledger say nothing of it: whatever step
one of them takes meanwhile carries the act along, and adds what it changed to its record. The log is bounded: the
latest `KEPT` acts, and of refused tokens the latest `REFUSALS_KEPT`, apart, so that nobody can push out the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar

import asyncpg

from collator.clock import rfc3339
from collator.ledgers.postgresql.step import Step, clean
from collator.messages import REFUSED, Act, AuditPage, AuditRecord
from collator.paging import fitting
from collator.text import shorten

KEPT, REFUSALS_KEPT = 10_000, 1_000
"""Records."""
NEWEST = 2**62
_SLICE = 100  # records that go at a time, because they are old

ACTING: ContextVar[Act | None] = ContextVar("acting", default=None)
"""The act that the task does."""


async def record(step: Step, act: Act, changed: int) -> None:
    """Add to the log that a step of *act* has *changed* so many."""
    refused = act.verb == REFUSED
    words = (clean(act.who), clean(act.peer), act.verb, clean(shorten(act.target, 500)))
    await step.run("record_act", act.id, step.wall, step.now, *words, changed, refused)
    if not act.stored:  # else a record had its place before: an act may have thousands of steps
        await step.run("trim_audit", refused, REFUSALS_KEPT if refused else KEPT)
        await delete_old(step)


async def note(step: Step, act: Act) -> None:
    """Record *act*, which no step of another verb does."""
    await record(step, act, act.changed)


async def delete_old(step: Step) -> None:
    """Delete some of the records that are older than `LedgerLimits.remember`."""
    if step.ledger_limits.remember is not None:
        await step.run("forget_audit", step.now - step.ledger_limits.remember, _SLICE)


def page(rows: Sequence[asyncpg.Record], limit: int, size: int) -> AuditPage:
    """Up to *limit* records of *rows*, the latest first, of which one more than that may be there."""
    records = [
        AuditRecord(id=number, at=rfc3339(at), who=who, peer=peer, verb=verb, target=target, changed=changed)
        for number, at, who, peer, verb, target, changed in rows[:limit]
    ]
    shown = fitting(records, size)
    return AuditPage(records=shown, after=shown[-1].id if len(rows) > len(shown) else None)
