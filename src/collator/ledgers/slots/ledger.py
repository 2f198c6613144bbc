"""Several ledgers as one (`collator.seams.ledger`): a resource lives in one of them, and views show all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from collator.ledgers.batching.answers import Answers
from collator.ledgers.slots.beside import InWork
from collator.ledgers.slots.delivery_verbs import DeliveryVerbs
from collator.ledgers.slots.packet_verbs import PacketVerbs
from collator.ledgers.slots.repair_verbs import SlotRepairs
from collator.ledgers.slots.slots import Part, Slots
from collator.ledgers.slots.views import SlotViews
from collator.messages import Counts


class SlottedLedger(PacketVerbs, DeliveryVerbs, SlotRepairs, SlotViews):
    """The ledgers of a list, open. The contract of each verb is in `collator.seams.ledger`."""

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        task_lease: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Divide resources among *parts*; *task_lease*: their `LedgerLimits.task_lease`, by a clock as *now*."""
        self._slots = Slots(parts)
        self._beside = InWork(len(parts), lease=task_lease, now=now)
        self._answers = Answers()  # to claims
        self._behind: set[int] = set()
        self._counted: dict[int, Counts] = {}
