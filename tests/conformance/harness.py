"""What the author of a ledger writes so that this suite can drive it: one store, and the nodes that have it open.

A *node* is a process that has the store open, and the *holder* of what it was handed: leases, and packets in work. A
ledger of one process at a time has one node. The suite opens nodes, stops and kills them, moves time, and loses
replies, all through a `Harness`; what follows from each stands in `collator.seams.ledger`. See docs/backends.md.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from collator.errors import Uncertain
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Ledger

Routing = Callable[[str], Sequence[str]]
"""The endpoints of a resource, by its id."""

Node = TypeVar("Node", bound=Ledger)
"""What the harness opens: a ledger, with whatever the harness needs besides."""


class LedgerClock(Protocol):
    """The time of a store. It stands still until it is moved: no test fails because the machine is busy."""

    def wall(self) -> float:
        """Seconds since 1970-01-01T00:00:00Z, as people read them."""
        ...

    def advance(self, seconds: float) -> None:
        """Let time pass, for every node."""
        ...

    def jump_wall(self, seconds: float) -> None:
        """Set the wall clock on or back, and no other: called only where `Harness.wall_jumps`."""
        ...


class Harness(ABC, Generic[Node]):
    """One store of a kind of ledger. Each test has a new one, and calls `close` last."""

    name: ClassVar[str]
    """How the tests of this ledger are called."""
    max_nodes: ClassVar[int] = 1
    """How many nodes may have a store open at a time: 1, or 2 for all that is more."""
    wall_jumps: ClassVar[bool] = False
    """Whether a test can set the wall clock. That of a server can only be moved on."""
    brief: ClassVar[bool] = False
    """Whether ``make test`` runs each test once, on as many nodes as there may be, with the first of its parameters and
    few examples of Hypothesis: the rest is left to ``make test-cluster``."""
    chosen: ClassVar[frozenset[str] | None] = None
    """The modules of the suite that ``make test`` runs in brief; none for all."""
    divided: ClassVar[bool] = False
    """Whether a store is several ledgers as one, each of which keeps an order and a bound for itself."""
    clock: LedgerClock

    @abstractmethod
    def __init__(self, directory: Path) -> None:
        """Prepare a store that is empty. *directory* is empty too, and is for what needs one."""

    @classmethod
    def needs(cls) -> str | None:
        """Return what this machine lacks for these tests, such as "a PostgreSQL server"; `None` if nothing."""
        return None

    @abstractmethod
    async def open(self, ledger_limits: LedgerLimits, route: Routing) -> Node:
        """Open the store as a new node."""

    @abstractmethod
    async def stop(self, node: Node) -> None:
        """Stop a node in order, as `collator serve` stops on a signal."""

    @abstractmethod
    async def kill(self, node: Node) -> None:
        """Let a node end with its memory, as by ``kill -9``, and let the store know that its holder is dead.

        Where that takes the nodes some silence, the harness makes them find it at once, and moves no time.
        """

    @abstractmethod
    def lose_answer(self, node: Node, verb: str) -> None:
        """Let the next call of *verb* at *node* be committed, and its answer not come: it raises `Uncertain`."""

    @abstractmethod
    def stand_still(self, seconds: float) -> None:
        """Let *seconds* pass in which no node could act: all were stopped, or the store took nothing."""

    def settings(self) -> Mapping[str, Any]:
        """Return the settings by which a service opens the store, beside ``data_dir``."""
        return {}

    async def close(self) -> None:
        """Remove the store; its nodes are stopped by now."""


def drop_answer(node: Ledger, verb: str) -> None:
    """Drop the next answer of *verb*: for `Harness.lose_answer` where none is lost by itself, as within a process."""
    answered = getattr(node, verb)

    async def unanswered(*given: Any, **options: Any) -> None:  # noqa: ANN401 - as the verb has it
        delattr(node, verb)
        await answered(*given, **options)
        raise Uncertain

    setattr(node, verb, unanswered)
