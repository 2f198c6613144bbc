"""What waits in line for a call, between the event loop that puts it there and the pool's threads that take it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence

import structlog

from collator.engines.embedded.workforce.chunks import Chunk
from collator.engines.embedded.workforce.turns import Turns
from collator.exchange import Task

log = structlog.get_logger("collator.workforce")


class Line:
    """Tasks that wait. May be used by any thread."""

    def __init__(self, *, batch: int = 1) -> None:
        """*batch*: how many tasks a call may take."""
        guard = threading.RLock()
        self.change = threading.Condition(guard)
        """Guards the line, and what its pool keeps beside it; nothing slow is done while it is held."""
        self.relief = threading.Condition(guard)
        """For who has to wait until the ledger has taken results."""
        self.turns = Turns(batch=batch)
        """Who is next; to be used with the guard held."""
        self.paused = False
        """Nothing more may be taken."""
        self.rouse: Callable[[], None] = lambda: None
        """The pool's: see whether somebody is free for what waits. Called with the guard held."""
        self.lay_down: Callable[[Chunk], None] = lambda _chunk: None
        """The pool's: lay down the results of a chunk on which work goes on; returns when it may."""

    def __len__(self) -> int:
        """How many tasks wait."""
        return len(self.turns)

    def put(self, tasks: Sequence[Task]) -> None:
        """Let *tasks* wait."""
        with self.change:
            self.turns.put(tasks)
            self.rouse()

    def put_apart(self, tasks: Sequence[Task], reason: str) -> None:
        """Let *tasks*, which failed together for *reason*, wait for a call each."""
        log.warning("a batch failed; its packets are called one by one", packets=len(tasks), reason=reason)
        with self.change:
            self.turns.put_apart(tasks)
            self.rouse()

    def pause(self) -> None:
        """Let nothing more be taken; what is in hand is finished."""
        with self.change:
            self.paused = True

    def take_back(self) -> list[Task]:
        """All that waits, which now waits no longer."""
        with self.change:
            return self.turns.take_all()

    def drop(self, leases: Collection[int]) -> None:
        """Forget the tasks of *leases*, where they wait."""
        with self.change:
            self.turns.drop(leases)

    def tasks(self) -> list[Task]:
        """All that waits."""
        with self.change:
            return [*self.turns]
