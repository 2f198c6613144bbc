"""Records of the audit log."""

from __future__ import annotations

from collections.abc import Sequence
from secrets import token_hex

import msgspec


class Act(msgspec.Struct, kw_only=True):
    """Something that a person does, or tries to: it may take several steps."""

    id: str = msgspec.field(default_factory=lambda: token_hex(12))
    who: str
    """The name of a token; ``a person`` where nobody is asked who he is."""
    peer: str
    """The address that asked; empty inside a program."""
    verb: str
    """What is done: ``cancel``, ``purge``, …; ``refused`` where nothing was, as the token does not allow it."""
    target: str
    """The id of what it is done to, or which of many."""
    changed: int = 0
    """How many it changed so far; of ``refused``, how often it was tried."""
    stored: bool = False
    """Whether a step has recorded it."""


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An act, as the audit log has it."""

    id: int
    """Rises with time."""
    at: str
    """When it began, RFC 3339 in UTC."""
    who: str
    """The name of a token; `a person` where the service asks nobody who he is."""
    peer: str
    """The address that asked; empty inside a program."""
    verb: str
    """What was done: `cancel`, `complete`, `pause`, `purge`, `replay`, `resume`, `retry`, `stop`, `test`, `try`; or
    `refused`."""
    target: str
    """The id of what it was done to, or which of many; of `refused`, what was asked for."""
    changed: int
    """How many resources, packets, deliveries or endpoints it changed; of `refused`, how often it was tried."""


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of the audit log."""

    records: Sequence[AuditRecord]
    """The latest first."""
    after: int | None
    """Where the next page begins; `None` at the end."""


REFUSED = "refused"
"""The verb of an act that a token did not allow."""
