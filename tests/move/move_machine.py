"""The machine of the conformance suite on a data directory that is moved to PostgreSQL, where it goes on.

The model knows of no move, but for what is not moved: so whatever came before, everything ends as it would have.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from msgspec import structs

from collator.clock import rfc3339
from collator.errors import ConfigError
from collator.ledgers.move import Move
from collator.ledgers.postgresql.arrival import Arrival
from collator.ledgers.sqlite import departure
from collator.rules.resource import LedgerLimits
from collator.settings import Settings
from collator.states import DeliveryState, State
from tests.conformance.machine import ENDPOINTS, TERMS
from tests.conformance.machine_ends import LedgerMachine
from tests.conformance.model import Thing
from tests.conformance.postgresql_harness import PostgresqlHarness
from tests.conformance.sqlite_harness import SqliteHarness
from tests.conformance.store import Store

Step = Callable[..., Awaitable[Any]]


class CutOffError(Exception):
    """The process was killed here."""


@contextmanager
def cut_off(after: int, *, committed: bool) -> Iterator[None]:
    """Cut a move off at its step *after*: a slice that is written or compared, or the end; *committed* or not."""
    left = after

    def cut(step: Step) -> Step:
        async def taken(*given: Any) -> Any:  # noqa: ANN401 - as the step has it
            nonlocal left
            left -= 1
            if left < 0 and not committed:
                raise CutOffError
            answer = await step(*given)
            if left < 0:
                raise CutOffError
            return answer

        return taken

    with ExitStack() as stack:
        for name in ("begin", "write", "compare", "finish"):
            stack.enter_context(mock.patch.object(Arrival, name, cut(getattr(Arrival, name))))
        yield


class MoveMachine(LedgerMachine):
    """One store, which moves once."""

    def __init__(self) -> None:
        super().__init__(lambda directory: Store(SqliteHarness(directory)))
        self.moved = False

    @precondition(lambda self: not (self.moved or self.jumped))
    @rule(
        clean=st.booleans(),
        rows=st.integers(1, 4),
        cuts=st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=3),
        down=st.sampled_from([0, 1, 60]),
    )
    def move(self, clean: bool, rows: int, cuts: list[tuple[int, bool]], down: int) -> None:
        """Stop or die, move, cut off *cuts* times, and go on."""
        self.agreed = False
        stopped, source, ledger = self.model.now, self.store, self.ledger
        limits = structs.replace(TERMS, on_failure=self.model.on_failure)
        self.loop.run(source.stop_all() if clean else source.kill(ledger))
        wall = source.clock.wall()
        harness = PostgresqlHarness(Path(self.directory.name))
        harness.clock.stand_still(wall + down - harness.clock.wall())
        settings = Settings(data_dir=Path(self.directory.name), ledger=harness.url, ledger_durability="relaxed")
        with mock.patch.object(departure, "ROWS", rows):
            for after, committed in cuts:
                self.loop.run(self.cut_move(settings, after, committed=committed))
            self.loop.run(Move(settings).run())
        assert self.loop.run(Move(settings).run()) is False
        self.refuse_source(limits)
        self.store, self.moved = Store(harness), True
        self.ledger = self.do(self.store.open(limits, route=ENDPOINTS.__getitem__))
        self.model.now = stopped + down
        self.model.wall = rfc3339(self.store.clock.wall())
        self.uptime.restart(stopped, self.model.now, clean=clean)
        self.forget_delivered()
        self.model.stop(clean=clean)
        self.check()
        self.look_for_overdue()

    async def cut_move(self, settings: Settings, after: int, *, committed: bool) -> None:
        with suppress(CutOffError), cut_off(after, committed=committed):
            await Move(settings).run()

    def refuse_source(self, limits: LedgerLimits) -> None:
        """Nobody serves the directory any more."""
        try:
            self.loop.run(SqliteHarness(Path(self.directory.name)).open(limits, ENDPOINTS.__getitem__))
        except ConfigError as error:
            assert "were moved to" in error.detail  # noqa: PT017 - the machine has no context for it
        else:
            raise AssertionError("the directory was opened")

    def forget_delivered(self) -> None:
        for name, thing in [*self.model.things.items()]:
            if left_behind(thing):
                self.model.gone[name] = {*thing.pieces}, self.model.now
                del self.model.things[name]


def left_behind(thing: Thing) -> bool:
    """Whether nothing of *thing* is moved but its id."""
    states = {post.state for post in thing.all_posts}
    if states - {DeliveryState.DELIVERED}:
        return False
    return thing.state is State.CANCELLED or (thing.state is State.COLLATED and bool(states))
