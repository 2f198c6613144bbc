"""Packets in several ledgers: taken in where their resource lives, handed out by turns."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import cast

from collator.errors import Unavailable
from collator.ledgers.batching.answers import Answers, size_of
from collator.ledgers.slots import merger
from collator.ledgers.slots.beside import InWork
from collator.ledgers.slots.places import inner, inner_reports, outer_run, slot_of, split
from collator.ledgers.slots.shares import capacities, shares_by_size
from collator.ledgers.slots.slots import Slots, placed
from collator.ledgers.slots.turns import by_turns
from collator.messages import Accepted, AnyResult, Group, Lease, Run, StepResult, packets_of, results_of
from collator.seams.capacity import Capacity


class PacketVerbs:
    """The way in, and the work. The contract of each verb is in `collator.seams.packets`."""

    _slots: Slots
    _beside: InWork
    _answers: Answers
    _behind: set[int]
    """The ledgers in which packets may wait for a worker: they come before those that are just accepted elsewhere."""

    async def accept(self, groups: Sequence[Group], *, capacity: int, operation: str = "") -> Accepted:
        """Store packets where their resources live."""
        slots, count = self._slots, self._slots.count
        of_groups = split(slot_of(str(group[0].resource_id), count) for group in groups)
        of_packets = split(slot_of(str(group[0].resource_id), count) for group in groups for _ in group)
        mine = placed(groups, of_groups)
        held = self._beside.alone() or self._beside.wanted() is not None or self._behind - of_groups.keys()
        taken = shares_by_size(0 if held else capacity, {slot: len(found) for slot, found in of_packets.items()})

        async def store(slot: int) -> Accepted:
            if (refusal := slots.refusal(slot)) is not None:
                raise refusal
            return await slots.ledger(slot).accept(mine[slot], capacity=taken[slot], operation=operation)

        answers = await slots.ask(store, of_groups)
        for slot, answer in merger.there(answers).items():
            self._beside.begin(slot, answer.runs)
            if answer.waiting:
                self._behind.add(slot)
        return merger.accepted(answers, of_packets, count)

    async def claim(self, *, capacity: int, operation: str = "") -> Sequence[Run]:
        """Lease due packets of each ledger, to equal shares; what one leaves, others have."""
        if operation and operation in self._answers:  # by now something else may be in work
            return cast("Sequence[Run]", self._answers.get(operation))
        runs = await self._claim(capacity, operation)
        if operation:
            self._answers.keep(operation, runs, size_of(runs))
        return runs

    async def _claim(self, capacity: int, operation: str) -> list[Run]:
        slots, beside, wanted = self._slots, self._beside, self._beside.wanted()
        if wanted is not None and slots.away(wanted):
            wanted = None
        if beside.alone() or (wanted is not None and not beside.idle(but=wanted)):
            return []
        order = slots.order(operation) if wanted is None else [wanted]

        async def take(slot: int, wanted: int, part: str) -> Sequence[Run]:
            return await slots.ledger(slot).claim(capacity=wanted, operation=part)

        offered = await by_turns(slots, order, take, capacity, operation, size=lambda run: len(run.indexes))
        if sum([len(run.indexes) for _, run in offered]) < capacity:
            self._behind.clear()
        chosen = beside.choose(offered)
        for slot, run in chosen:
            beside.begin(slot, [run])
        for slot, run in offered:
            if (slot, run) not in chosen:
                with suppress(Unavailable):  # it is due again when its lease ends
                    await slots.ledger(slot).release(run.leases())
        return [outer_run(run, slot, slots.count) for slot, run in chosen]

    async def record(self, reports: Sequence[AnyResult], *, capacity: Capacity, operation: str = "") -> StepResult:
        """Store outcomes where the packets are."""
        slots = self._slots
        mine = placed(reports, split(report.lease.key % slots.count for report in reports))
        places = split(report.lease.key % slots.count for report in reports for _ in range(packets_of(report)))
        taken = capacities(capacity, [*places]) if places else {}

        async def store(slot: int) -> StepResult:
            return await slots.ledger(slot).record(
                inner_reports(mine[slot], slots.count), capacity=taken[slot], operation=operation
            )

        for slot, given in mine.items():
            self._beside.end(slot, [result.lease for result in results_of(given)])
        answers = await slots.ask_some(store, places)
        return merger.step(answers, places, slots.count)

    async def renew(self, leases: Sequence[Lease]) -> Sequence[bool]:
        """Prolong leases. Those of a ledger that is away may hold: a report tells."""
        slots = self._slots
        places = split(lease.key % slots.count for lease in leases)
        mine = placed(leases, places)

        async def prolong(slot: int) -> Sequence[bool]:
            return await slots.ledger(slot).renew([inner(lease, slots.count) for lease in mine[slot]])

        answers = await slots.ask(prolong, places)
        for slot, still in merger.there(answers).items():
            self._beside.renew(slot, mine[slot], still)
        return merger.flags(answers, places, away=True)

    async def release(self, leases: Sequence[Lease]) -> None:
        """Give back. `Unavailable` where one ledger is away, once the others have theirs."""
        slots = self._slots
        places = split(lease.key % slots.count for lease in leases)
        mine = placed(leases, places)

        async def give_back(slot: int) -> None:
            await slots.ledger(slot).release([inner(lease, slots.count) for lease in mine[slot]])

        for slot, given in mine.items():
            self._beside.end(slot, given)
        for answer in (await slots.ask(give_back, places)).values():
            if isinstance(answer, Unavailable):
                raise answer

    async def work_due(self) -> bool:
        """Return whether packets are due that nobody holds."""
        slots = self._slots
        answers = await slots.ask(lambda slot: slots.ledger(slot).work_due(), slots.all, probe=True)
        return any(merger.there(answers).values())
