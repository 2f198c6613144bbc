"""What the suite adds to a harness: a store whose nodes are stopped, killed and opened again in one call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, cast

from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Ledger
from tests.conformance.harness import Harness, LedgerClock, Routing


class Store:
    """A store, and the nodes that have it open.

    Where tests speak of one `Ledger`, that is one node, or several of which each call asks the next: what is true of
    the store is true whichever node is asked.
    """

    def __init__(self, harness: Harness[Any], *, asked: int = 1) -> None:
        """Drive *harness*; `open` opens so many nodes as are to be *asked* in turn."""
        self._harness = harness
        self._asked = asked
        self._ledger_limits = LedgerLimits()
        self._route: Routing = default_route
        self._nodes: list[Ledger] = []

    @property
    def clock(self) -> LedgerClock:
        """The time of the store."""
        return self._harness.clock

    @property
    def wall_jumps(self) -> bool:
        """Whether the wall clock can be set."""
        return self._harness.wall_jumps

    @property
    def divided(self) -> bool:
        """Whether it is several ledgers as one."""
        return self._harness.divided

    def stand_still(self, seconds: float) -> None:
        """Let *seconds* pass in which nobody could act."""
        self._harness.stand_still(seconds)

    def lose_answer(self, node: Ledger, verb: str) -> None:
        """Let the next call of *verb* at one node be committed, and its answer not come."""
        self._harness.lose_answer(node, verb)

    async def open(self, ledger_limits: LedgerLimits | None = None, *, route: Routing | None = None) -> Ledger:
        """Open the ledger; limits and route stay for the nodes to come."""
        self._route = route or self._route
        nodes = await self.open_nodes(self._asked, ledger_limits)
        return nodes[0] if self._asked == 1 else cast("Ledger", AskedInTurn(nodes))

    async def open_nodes(self, count: int, ledger_limits: LedgerLimits | None = None) -> Sequence[Ledger]:
        """Open *count* more nodes, each to be asked by itself."""
        self._ledger_limits = ledger_limits or self._ledger_limits
        opened = [await self._harness.open(self._ledger_limits, self._route) for _ in range(count)]
        self._nodes += opened
        return opened

    async def stop(self, node: Ledger) -> None:
        """Stop one node in order."""
        self._nodes.remove(node)
        await self._harness.stop(node)

    async def kill(self, node: Ledger) -> None:
        """Let one node end with its memory."""
        self._nodes.remove(node)
        await self._harness.kill(node)

    async def reopen(self, *, down: float = 0.0) -> Ledger:
        """A clean stop of all nodes, *down* seconds of rest, and a start."""
        await self.stop_all()
        self.clock.advance(down)
        return await self.open()

    async def crash(self, *, down: float = 0.0) -> Ledger:
        """All nodes are gone with their memory; *down* seconds later others start."""
        assert self._nodes, "nothing is open"
        for node in [*self._nodes]:
            await self.kill(node)
        self.clock.advance(down)
        return await self.open()

    async def stop_all(self) -> None:
        """A clean stop of all nodes."""
        for node in [*self._nodes]:
            await self.stop(node)

    async def close(self) -> None:
        """Stop what is open, and remove the store."""
        await self.stop_all()
        await self._harness.close()


NewStore = Callable[[Path], Store]
"""Makes an empty store in a directory that is empty."""


class AskedInTurn:
    """The nodes of a store as one ledger: each call goes to the next of them."""

    def __init__(self, nodes: Sequence[Ledger]) -> None:
        """Begin with the first of *nodes*."""
        self._nodes = cycle(nodes)

    def __getattr__(self, verb: str) -> Any:  # noqa: ANN401 - the verb of whichever node
        """The *verb* of the next node."""
        return getattr(next(self._nodes), verb)


def default_route(_resource_id: str) -> Sequence[str]:
    """One endpoint for every resource."""
    return ["default"]
