"""A double of a ledger of several nodes, to test the tests: two handles on one SQLite ledger, each holding its leases.

Beside a sound one, ledgers with a mistake each, which the tests of two nodes must find.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from collator.ledgers.batching.calls import Verb
from collator.ledgers.sqlite import SqliteLedger, recovery
from collator.ledgers.sqlite.leases import number_of
from collator.ledgers.sqlite.store import Store
from collator.messages import Lease, Recorded, Result, Run, StepResult
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Capacity
from tests.conformance.harness import Harness, Routing
from tests.conformance.sqlite_harness import SqliteHarness


class Handle:
    """A node: its verbs are those of the ledger, and it keeps what it was handed."""

    def __init__(self, ledger: SqliteLedger, answers: dict[str, Any]) -> None:
        self.leases: list[Lease] = []
        self.ledger = ledger
        self.answers = answers  # of all handles

    def __getattr__(self, verb: str) -> Any:  # noqa: ANN401 - whichever verb
        return getattr(self.ledger, verb)

    async def accept(self, *given: Any, **options: Any) -> Any:  # noqa: ANN401 - as the ledger has it
        accepted = await self.ledger.accept(*given, **options)
        self.keep(accepted.runs)
        return accepted

    async def claim(self, **options: Any) -> Sequence[Run]:  # noqa: ANN401 - as the ledger has it
        runs = await self.ledger.claim(**options)
        self.keep(runs)
        return runs

    def keep(self, runs: Sequence[Run]) -> None:
        self.leases += [lease for run in runs for lease in run.leases()]


class TwoHandles(Harness[Any]):
    """A sound one."""

    name = "sound"
    max_nodes = 2
    handle: type[Handle] = Handle

    def __init__(self, directory: Path) -> None:
        self.sqlite = SqliteHarness(directory)
        self.clock = self.sqlite.clock
        self.answers: dict[str, Any] = {}
        self.handles: list[Handle] = []

    async def open(self, ledger_limits: LedgerLimits, route: Routing) -> Any:  # noqa: ANN401 - stands for a ledger
        ledger = self.handles[0].ledger if self.handles else await self.sqlite.open(ledger_limits, route)
        self.handles.append(self.handle(ledger, self.answers))
        return self.handles[-1]

    async def stop(self, node: Handle) -> None:
        self.handles.remove(node)
        await (node.ledger.release(node.leases) if self.handles else self.sqlite.stop(node.ledger))

    async def kill(self, node: Handle) -> None:
        self.handles.remove(node)
        if self.handles:
            await node.ledger._writer.call(DIE, (node.leases,))
        else:
            await self.sqlite.kill(node.ledger)

    def lose_answer(self, node: Handle, verb: str) -> None:
        self.sqlite.lose_answer(node.ledger, verb)

    def stand_still(self, seconds: float) -> None:
        self.sqlite.stand_still(seconds)


def die(store: Store, calls: Sequence[tuple[Sequence[Lease]]]) -> list[None]:
    """What a start finds after an unclean stop, for the leases of one of several holders."""
    ended = store.packets.end([number_of(lease) for lease in calls[0][0]])
    found = [run.key(position) for run, positions, _ in ended for position in positions]
    store.run_rows("suspect", found, int(len(found) == 1), store.ledger_limits.side_by_side)
    recovery._fail_lethal_packets(store)
    store.suspects = store.value("count_suspects")
    return [None]


DIE: Verb[Store, None] = Verb(die, alone=True)


class StopsForAll(TwoHandles):
    """The stop of one node gives back what all hold."""

    name = "stops-for-all"

    async def stop(self, node: Handle) -> None:
        await node.ledger.release([lease for handle in self.handles for lease in handle.leases])
        await super().stop(node)


class KeepsTheDead(TwoHandles):
    """The leases of a dead holder go on."""

    name = "keeps-the-dead"

    async def kill(self, node: Handle) -> None:
        node.leases.clear()
        await super().kill(node)


class OwnOnly(Handle):
    async def record(self, results: Sequence[Result], *, capacity: Capacity) -> StepResult:
        if any(result.lease not in self.leases for result in results):
            return StepResult([Recorded.LOST] * len(results), [], frozenset())
        return await self.ledger.record(results, capacity=capacity)


class RecordsItsOwn(TwoHandles):
    """A node records nothing that another has claimed."""

    name, handle = "records-its-own", OwnOnly


class Repeating(Handle):
    async def claim(self, **options: Any) -> Any:  # noqa: ANN401 - as the ledger has it
        return self.answers.pop("claim", None) or self.answers.setdefault("claim", await super().claim(**options))

    async def expire(self, **options: Any) -> Any:  # noqa: ANN401 - as the ledger has it
        return self.answers.pop("expire", None) or self.answers.setdefault(
            "expire", await self.ledger.expire(**options)
        )

    async def purge(self, **_options: Any) -> int:  # noqa: ANN401 - as the ledger has it
        return 0


class SeesWhatItSaw(TwoHandles):
    """Of two calls at once, the second is told what the first was told; and each leaves the purge to the other."""

    name, handle = "sees-what-it-saw", Repeating
