"""What the audit logs of all ledgers have in common: the act that a task does, the bounds of a log, and its pages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from collator.clock import rfc3339
from collator.messages import Act, AuditPage, AuditRecord
from collator.paging import fitting

KEPT, REFUSALS_KEPT = 10_000, 1_000
"""Records."""
NEWEST = 2**62
"""Beyond the number of any record."""
SLICE = 100
"""Records that go at a time, because they are old."""

ACTING: ContextVar[Act | None] = ContextVar("acting", default=None)
"""The act that the task does."""


@contextmanager
def audited(act: Act | None) -> Iterator[None]:
    """Record what the task does within the context as one *act*; where it is none, nothing."""
    token = ACTING.set(act)
    try:
        yield
    finally:
        ACTING.reset(token)


def page(rows: Sequence[Sequence[Any]], limit: int, size: int) -> AuditPage:
    """Up to *limit* records of *rows*, the latest first, of which one more than that may be there."""
    records = [
        AuditRecord(id=number, at=rfc3339(at), who=who, peer=peer, verb=verb, target=target, changed=changed)
        for number, at, who, peer, verb, target, changed in rows[:limit]
    ]
    shown = fitting(records, size)
    return AuditPage(records=shown, after=shown[-1].id if len(rows) > len(shown) else None)
