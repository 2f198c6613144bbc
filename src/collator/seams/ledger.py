"""THE SEAM to what must survive: the ledger, which is all of its small seams together.

Contract of every verb. *Atomic per resource*: each resource of a batch changes wholly or not at all, and a batch may
succeed in part, with a result for every item in the place of the item. *Durable when it returns*: what a verb says
happened survives ``kill -9`` and a power cut.

*Holder*: whoever has the ledger open is a node, and holds what it was handed out. A lease is handed out in the step
that the caller asked for, never for more than the capacity that the caller said it has; the rest stays due and is found
by `claim`, `claim_deliveries` and `work_due`. Any node may report under a lease. A node that stops gives back its own
leases and no others; of one that dies they end by themselves, and its packets are suspects.

*Repeatable*: every verb may be called again, but for `note`, which records anew. Those that hand out, count or say what
they changed take the id of an *operation*: called again with it, by the same node and while the answer may still be on
its way, they give the first answer and change nothing more. `Uncertain` says that the answer was lost, and that nobody
knows whether the step was taken: `Operations.certain` asks again.

*Time*: the ledger owns the clock; callers pass durations. *Errors*: `Unavailable` (and its kinds, but for `Uncertain`)
means that nothing was stored; `Unknown`, `Ended`, `Conflict` and `Malformed` mean that nothing changed; `Damaged`, that
what is stored of this resource cannot be read, whatever the verb. No other caller hears of it.
"""

from __future__ import annotations

from typing import Protocol

from collator.seams.audit import AuditLog
from collator.seams.capacity import Capacity
from collator.seams.deliveries import DeliveryQueue
from collator.seams.packets import PacketIntake, WorkQueue
from collator.seams.upkeep import Repair, Upkeep
from collator.seams.views import Views

__all__ = ["Capacity", "Ledger"]


class Ledger(PacketIntake, WorkQueue, DeliveryQueue, Upkeep, Repair, Views, AuditLog, Protocol):
    """The store of all that survives a crash. Every verb is one atomic step for each resource it touches."""
