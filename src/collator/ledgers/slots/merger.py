"""What several ledgers answered, as one answer. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from msgspec.structs import asdict, replace

from collator.errors import Unavailable
from collator.ledgers.slots.places import outer_delivery, outer_run
from collator.messages import Accepted, Counts, Durability, NodeReport, Pause, Recorded, Replication, StepResult
from collator.packet import Receipt, Status

R = TypeVar("R")

Replies = Mapping[int, R | Unavailable]
"""What each ledger that was asked answered, or why it could not."""


def there(answers: Replies[R]) -> dict[int, R]:
    """The *answers* that came."""
    return {slot: answer for slot, answer in answers.items() if not isinstance(answer, Unavailable)}


def accepted(answers: Replies[Accepted], places: Mapping[int, Sequence[int]], count: int) -> Accepted:
    """The receipts of a batch whose packets had *places* by ledger; those of a ledger that is away are refused."""
    exceptions: list[tuple[int, Receipt]] = []
    for slot, answer in answers.items():
        if isinstance(answer, Unavailable):
            receipt = Receipt(Status.REFUSED, answer.detail, answer.retry_after)
            exceptions += [(place, receipt) for place in places[slot]]
        else:
            exceptions += [(places[slot][place], receipt) for place, receipt in answer.exceptions]
    came = there(answers)
    return Accepted(
        size=sum([len(found) for found in places.values()]),
        exceptions=sorted(exceptions, key=lambda one: one[0]),
        runs=[outer_run(run, slot, count) for slot, answer in came.items() for run in answer.runs],
        waiting=sum([answer.waiting for answer in came.values()]),
        endpoints=frozenset[str]().union(*[answer.endpoints for answer in came.values()]),
    )


def step(answers: Replies[StepResult], places: Mapping[int, Sequence[int]], count: int) -> StepResult:
    """The sum of what a step did in each ledger, where results had *places*."""
    statuses = [Recorded.UNAVAILABLE] * sum([len(found) for found in places.values()])
    came = there(answers)
    for slot, answer in came.items():
        for place, status in zip(places.get(slot, ()), answer.statuses, strict=True):
            statuses[place] = status
    failed = [answer.failed for answer in came.values() if answer.failed is not None]
    return StepResult(
        statuses,
        [outer_delivery(delivery, slot, count) for slot, answer in came.items() for delivery in answer.deliveries],
        frozenset[str]().union(*[answer.endpoints for answer in came.values()]),
        closed=sum([answer.closed for answer in came.values()]),
        more=any(answer.more for answer in came.values()),
        failed=failed[0] if failed else None,
    )


def flags(answers: Replies[Sequence[R]], places: Mapping[int, Sequence[int]], *, away: R) -> list[R]:
    """A flag for each item, where items had *places*; *away* for those of a ledger that is away."""
    found = [away] * sum([len(mine) for mine in places.values()])
    for slot, answer in there(answers).items():
        for place, flag in zip(places[slot], answer, strict=True):
            found[place] = flag
    return found


def counts(all_counts: Iterable[Counts]) -> Counts:
    """The sum of *all_counts*."""
    total = dict.fromkeys(Counts.__struct_fields__, 0)
    for one in all_counts:
        for name, number in asdict(one).items():
            total[name] += number
    return Counts(**total)


def pauses(found: Iterable[Mapping[str, Pause]]) -> dict[str, Pause]:
    """The endpoints that are paused in any ledger, each since the first of its pauses."""
    merged: dict[str, Pause] = {}
    for name, pause in (item for one in found for item in one.items()):
        if name not in merged or pause.since < merged[name].since:
            merged[name] = pause
    return merged


def nodes(found: Iterable[Sequence[NodeReport]]) -> list[NodeReport]:
    """The nodes, each of which every ledger knows under a number of its own: the first that is found counts."""
    merged: dict[tuple[str, int], NodeReport] = {}
    for reports in found:
        names = [report.name for report in reports]
        for place, report in enumerate(reports):
            known = merged.setdefault((report.name, names[:place].count(report.name)), report)
            if known is not report:
                merged[report.name, names[:place].count(report.name)] = replace(
                    known,
                    beat=max(known.beat, report.beat),
                    leased=known.leased + report.leased,
                    here=known.here or report.here,
                )
    return [*merged.values()]


def durability(found: Sequence[Durability | Unavailable], standbys: int) -> Durability:
    """The durability of all ledgers together, which is that of the least durable, with the first *standbys* of all."""
    came = [one for one in found if not isinstance(one, Unavailable)]
    order = [*Replication]
    stores = ["away" if isinstance(one, Unavailable) else one.store for one in found]
    return Durability(
        store=", ".join([f"ledger {number}: {words}" for number, words in enumerate(stores, 1)]),
        away=[f"ledger {number}: {one.detail}" for number, one in enumerate(found, 1) if isinstance(one, Unavailable)],
        risks=[*dict.fromkeys(risk for one in came for risk in one.risks)],
        replication=min((one.replication for one in came), key=order.index, default=Replication.NONE),
        standbys=[
            replace(standby, name=f"ledger {number}: {standby.name}")
            for number, one in enumerate(found, 1)
            if not isinstance(one, Unavailable)
            for standby in one.standbys
        ][:standbys],
    )
