"""The verbs of the ledger, of which each ledger has its own execution.

Most are executed alone. Those that come by the thousand are executed together, and taken apart where one call of a
batch is the culprit of an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from collator.ledgers.batching import parts
from collator.ledgers.batching.calls import Kind


def _upkeep(changed: Callable[[Any], int | None], *, grows: bool = False) -> Kind:
    """A verb of people: its step may last a slice, or as long as the end of a large resource takes."""
    return Kind(alone=True, gives_way=True, grows=grows, changed=lambda _, result: changed(result))


ACCEPT = Kind(grows=True, echoes=True, split=parts.halve_groups, join=parts.join_accepted, isolate=parts.refuse_packet)
RECORD = Kind(split=parts.halve_results, join=parts.join_recorded, isolate=parts.refuse_result)
SETTLE = Kind(split=parts.halve_items, join=parts.join_lists, isolate=parts.refuse_attempt)
ALONE = Kind(alone=True)
"""What nodes and workers ask for, and nobody else."""
EXPIRE = Kind(alone=True, gives_way=True)

# What people do, which the audit log has.
REPLAY = _upkeep(lambda step: step.number)
STOP = CANCEL = _upkeep(int)
PAUSE = RESUME = Kind(alone=True, changed=lambda _, result: int(result))
COMPLETE = _upkeep(lambda outcome: outcome.closed)
COMPLETE_EMPTY = _upkeep(lambda outcome: outcome.closed, grows=True)
"""It may open a resource."""
RETRY = _upkeep(lambda step: None if step.ended else step.number)
REOPEN = _upkeep(int, grows=True)
REOPEN_ALL = _upkeep(lambda step: step.packets, grows=True)
PURGE = Kind(alone=True, gives_way=True, changed=lambda arguments, _: int(arguments[-1] is not None))
"""Of one resource: what time removes, nobody does."""
