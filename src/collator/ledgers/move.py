"""The move of an embedded data directory into a ledger that several nodes share.

In this order: the directory is marked, so that nobody serves it; the target lets no node in; slices are copied; what
has arrived is compared with the source; the target lets nodes in; the mark says that it is done. Cut off anywhere, the
next run goes on: the target knows what has arrived.
"""

from __future__ import annotations

import time

from collator.clock import rfc3339
from collator.errors import CollatorError, ConfigError, Unavailable
from collator.ledgers import DIVIDER, is_postgresql
from collator.ledgers.move_slices import Extent
from collator.ledgers.postgresql.arrival import Arrival, arriving
from collator.ledgers.sqlite import move_mark
from collator.ledgers.sqlite.departure import Departure, departing
from collator.ledgers.sqlite.move_mark import Mark
from collator.settings import Settings


class Move:
    """The move that settings name: of ``data_dir`` to ``ledger``."""

    def __init__(self, settings: Settings) -> None:
        """Begin with `run`."""
        self.extent = Extent()
        self.copied = self.compared = 0
        """Rows."""
        self._settings, self._data_dir = settings, settings.data_dir

    async def run(self) -> bool:
        """Move what is left; whether there was anything, as the move was not finished before.

        Raises `ConfigError`, `Occupied`, `Conflict`, `SchemaTooNew`, `Damaged`, `Unavailable`: with each the command
        may be run again.
        """
        self._check_target()
        with departing(self._data_dir) as source:
            self.extent = source.extent
            mark = move_mark.find(self._data_dir)
            if mark is not None and (mark.finished or mark.ledger != self._settings.ledger):
                self._check_mark(mark)
                return False
            async with arriving(self._settings) as target:
                return await self._move(source, target, marked=mark is not None)

    async def give_up(self) -> bool:
        """Take back what an unfinished move has copied, and let the directory be served; whether there was one.

        `ConfigError` where it is finished.
        """
        self._check_target()
        with departing(self._data_dir):
            mark = move_mark.find(self._data_dir)
            if mark is not None:
                self._check_mark(mark)
            if mark is not None and mark.finished:
                raise ConfigError(f"the move of {self._data_dir} is finished: there is nothing to give up")
            async with arriving(self._settings) as target:
                begun = await target.give_up(str(self._data_dir.resolve()))
            move_mark.remove(self._data_dir)
            return begun or mark is not None

    async def _move(self, source: Departure, target: Arrival, *, marked: bool) -> bool:
        self._mark(finished=False)
        try:
            shift = await target.begin(source.origin, source.ids())
        except Unavailable:
            raise  # nobody knows whether it has begun
        except CollatorError:
            if not marked:
                move_mark.remove(self._data_dir)
            raise
        if not target.finished:
            for part in source.slices(shift, stage=target.stage, position=target.position):
                await target.write(part)
                self.copied += part.number
            self.copied = self.extent.rows
            for part in source.slices(shift):
                await target.compare(part)
                self.compared += part.number
            await target.finish(self.extent, source.paused())
        self._mark(finished=True)
        return not target.finished

    def _mark(self, *, finished: bool) -> None:
        move_mark.write(self._data_dir, Mark(self._settings.ledger, rfc3339(time.time()), finished))

    def _check_target(self) -> None:
        if DIVIDER in self._settings.ledger:
            raise ConfigError("collator move moves into one ledger, and --ledger names several")
        if not is_postgresql(self._settings.ledger):
            raise ConfigError("--ledger does not name a ledger to move to; use postgresql://USER@HOST/DATABASE")

    def _check_mark(self, mark: Mark) -> None:
        """See that *mark* is about this target."""
        if mark.ledger != self._settings.ledger:
            done = "were moved" if mark.finished else "are being moved"
            raise ConfigError(f"the contents of {self._data_dir} {done} to {mark.ledger}: name that with --ledger")
