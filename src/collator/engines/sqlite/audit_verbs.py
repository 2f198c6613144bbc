"""`collator.audit.AuditLog` on SQLite: an act goes with the steps that a task takes, and its record with theirs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from collator.engines.sqlite import steps
from collator.engines.sqlite.audit import ACTING
from collator.engines.sqlite.reader import Reader
from collator.engines.sqlite.writer import Writer
from collator.messages import Act, AuditPage
from collator.paging import UNBOUNDED


class AuditVerbs:
    """The verbs of the audit log. The contract of each verb is in `collator.audit`."""

    _writer: Writer
    _reader: Reader

    @contextmanager
    def audited(self, act: Act) -> Iterator[None]:
        """Record what is done within the context as one act."""
        token = ACTING.set(act)
        try:
            yield
        finally:
            ACTING.reset(token)

    async def note(self, act: Act) -> None:
        """Record an act that no verb does."""
        await self._writer.call(steps.NOTE, (act,))

    async def audit(self, *, after: int | None = None, limit: int = 100, size: int = UNBOUNDED) -> AuditPage:
        """A page of the audit log."""
        return await self._reader.ask(self._reader.audit, after, limit, size)
