"""The audit log on SQLite (`collator.seams.audit`): an act goes with its steps, and its record with theirs."""

from __future__ import annotations

from contextlib import AbstractContextManager

from collator.ledgers import acts
from collator.ledgers.sqlite import steps
from collator.ledgers.sqlite.reader import Reader
from collator.ledgers.sqlite.writer import Writer
from collator.messages import Act, AuditPage
from collator.paging import UNBOUNDED


class AuditVerbs:
    """The verbs of the audit log. The contract of each verb is in `collator.seams.audit`."""

    _writer: Writer
    _reader: Reader

    def audited(self, act: Act) -> AbstractContextManager[None]:
        """Record what is done within the context as one act."""
        return acts.audited(act)

    async def note(self, act: Act) -> None:
        """Record an act that no verb does."""
        await self._writer.call(steps.NOTE, (act,))

    async def audit(self, *, after: int | None = None, limit: int = 100, size: int = UNBOUNDED) -> AuditPage:
        """A page of the audit log."""
        return await self._reader.ask(self._reader.audit, after, limit, size)
