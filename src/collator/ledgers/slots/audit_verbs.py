"""The acts of people in several ledgers: each ledger records what it changed, in the step that changes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from msgspec.structs import replace

from collator.errors import Unavailable
from collator.ledgers import acts
from collator.ledgers.slots.slots import Slots
from collator.messages import Act, AuditPage, AuditRecord
from collator.paging import UNBOUNDED, fitting

_LOOK = 1000
"""Records of one look."""


class SlotAudit:
    """The audit log. The contract of each verb is in `collator.seams.audit`; an act has a record in each ledger."""

    _slots: Slots

    def audited(self, act: Act) -> AbstractContextManager[None]:
        """Record what is done within the context as one act."""
        return acts.audited(act)

    async def note(self, act: Act) -> None:
        """Record an act that no verb does, in the first ledger that is there."""
        there = [slot for slot in self._slots.all if not self._slots.away(slot)]
        await self._slots.ledger(there[0] if there else 0).note(act)

    async def audit(self, *, after: int | None = None, limit: int = 100, size: int = UNBOUNDED) -> AuditPage:
        """A page of the audit log: records of all ledgers by their time, from behind the record *after*."""
        before = None
        if after is not None:
            slot, number = after % self._slots.count, after // self._slots.count
            found = await self._slots.ledger(slot).audit(after=number + 1, limit=1)
            if not found.records:
                return AuditPage(records=[], after=None)
            before = _place(self._outer(found.records[0], slot))
        records = [
            record for slot in self._slots.all for record in await self._records(slot, before=before, limit=limit + 1)
        ]
        records.sort(key=_place, reverse=True)
        shown = fitting(records[:limit], size)
        return AuditPage(records=shown, after=shown[-1].id if len(records) > len(shown) else None)

    async def _records(self, slot: int, *, before: tuple[str, int] | None, limit: int) -> Sequence[AuditRecord]:
        """Up to *limit* records of one ledger, the latest first, of those *before* a place: the log is bounded."""
        found: list[AuditRecord] = []
        after: int | None = None
        while len(found) < limit:
            page = await self._slots.ledger(slot).audit(after=after, limit=_LOOK)
            records = [self._outer(record, slot) for record in page.records]
            found += [record for record in records if before is None or _place(record) < before]
            after = page.after
            if after is None:
                break
        return found[:limit]

    def _outer(self, record: AuditRecord, slot: int) -> AuditRecord:
        return replace(record, id=record.id * self._slots.count + slot)

    async def _everywhere(self, verb: Callable[[int], Awaitable[bool]]) -> bool:
        """Call *verb* in each ledger: whether it changed any. One of those that it changed has the record."""
        changed, away = False, list[Unavailable]()
        for slot in self._slots.all:
            try:
                with acts.audited(None) if changed else nullcontext():
                    changed |= await verb(slot)
            except Unavailable as error:
                away.append(error)
        if away:
            raise away[0]
        return changed


def _place(record: AuditRecord) -> tuple[str, int]:
    return record.at, record.id
