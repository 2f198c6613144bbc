"""THE SEAM to who did what: the part of a ledger that remembers the acts of people."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from collator.messages import Act, AuditPage
from collator.paging import UNBOUNDED


class AuditLog(Protocol):
    """The acts of people. Bounded: the latest acts are kept, and apart from them the latest refusals of tokens."""

    def audited(self, act: Act) -> AbstractContextManager[None]:
        """Record *act*: how many the verbs of repair change within the context, each in the step that changes them.

        The record is one, whatever steps and verbs there are, and `Act.changed` is their sum. An act that failed
        before its first step leaves none.
        """
        ...

    async def note(self, act: Act) -> None:
        """Record *act* with what it says it changed, as no verb does."""
        ...

    async def audit(self, *, after: int | None = None, limit: int = 100, size: int = UNBOUNDED) -> AuditPage:
        """Up to *limit* acts, with up to *size* bytes as JSON, the latest first; those before the record *after*."""
        ...
