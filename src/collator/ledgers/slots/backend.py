"""Several ledgers as one backend: each is open for itself, and what is told of them is told of all.

A start takes no longer than it has to: a ledger that is away is opened once it is back, if those that are there know
that the list is complete. Which ledger has which place is theirs to check; here one that is not the right one is away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Protocol, Self

import structlog
from msgspec.structs import replace
from prometheus_client import Gauge

from collator.errors import CollatorError, Unavailable
from collator.ledgers.slots import merger
from collator.ledgers.slots.absent import AbsentBackend
from collator.ledgers.slots.ledger import SlottedLedger
from collator.messages import Durability
from collator.metrics import Metrics
from collator.rules.resource import LedgerLimits
from collator.seams.backend import LedgerBackend
from collator.throttle import Throttle

STANDBYS = 20
"""Standbys that are told of."""
AGAIN = 1.0
"""Seconds between two attempts to open what was away."""

log = structlog.get_logger("collator.ledger")


class LedgerList(Protocol):
    """A list of ledgers that can be opened."""

    @property
    def complete(self) -> bool:
        """Whether one that is open knows that all of the list have their places, so that none is taken for another."""
        ...

    def __len__(self) -> int:
        """The number of ledgers."""
        ...

    async def open(self, number: int, part: LedgerLimits) -> LedgerBackend:
        """Open the ledger *number*, from 0, with its *part* of the limits."""
        ...

    async def make_complete(self) -> None:
        """Have all keep their places, as all are open."""
        ...


class SlottedBackend:
    """The ledgers of a list; implements `collator.seams.backend.LedgerBackend`."""

    def __init__(self, listed: LedgerList, backends: list[LedgerBackend], ledger_limits: LedgerLimits) -> None:
        """Use `open`."""
        self._listed, self._backends = listed, backends
        self._part = part_of(ledger_limits, len(listed))
        self._metrics: Metrics | None = None
        self._throttle = Throttle()
        self.ledger = SlottedLedger(backends, task_lease=ledger_limits.task_lease)
        self.begun = any(backend.begun for backend in backends)
        self.behind = max(backend.behind for backend in backends)
        self._opening = asyncio.create_task(self._open_rest(), name="collator-slots")

    @classmethod
    async def open(cls, listed: LedgerList, ledger_limits: LedgerLimits) -> Self:
        """Open all that are there. Raises what `LedgerList.open` raises, where the list is not known to be complete."""
        backends: list[LedgerBackend] = []
        try:
            while len(backends) < len(listed):
                backends += [await _open_one(listed, len(backends), part_of(ledger_limits, len(listed)))]
            _refuse_absent(listed, backends)
            if not listed.complete:
                await listed.make_complete()
        except BaseException:
            await _close(backends)
            raise
        return cls(listed, backends, ledger_limits)

    def watch(self, metrics: Metrics) -> None:
        """Count commits, and show which ledgers answer."""
        self._metrics = metrics
        usable = Gauge(
            "collator_slot_usable",
            "Whether the ledger of a place in the list answers",
            ["ledger"],
            registry=metrics.registry,
        )
        for number, backend in enumerate(self._backends):
            backend.watch(metrics)
            usable.labels(str(number + 1)).set_function(partial(self._usable, number))

    def health(self) -> str | None:
        """The trouble with the first ledger, where all of them have some: while one has none, the service goes on."""
        troubles = [backend.health() for backend in self._backends]
        return None if None in troubles else troubles[0]

    def refusal(self) -> Unavailable | None:
        """The error for all packets, where no ledger takes any; that of one is in the receipts of its packets."""
        refusals = [backend.refusal() for backend in self._backends]
        return None if None in refusals else refusals[0]

    def risks(self) -> Sequence[str]:
        """The losses that were accepted for any of them."""
        return [*dict.fromkeys(risk for backend in self._backends for risk in backend.risks())]

    async def durability(self) -> Durability:
        """Ask all. `Unavailable` where none of them answers."""
        found = await asyncio.gather(*map(_durability, self._backends))
        first = found[0]
        if isinstance(first, Unavailable) and all(isinstance(one, Unavailable) for one in found):
            raise first
        return merger.durability(found, STANDBYS)

    def lost(self) -> CollatorError | None:
        """Return the error of the first that is gone for good."""
        return next((error for backend in self._backends if (error := backend.lost()) is not None), None)

    async def aclose(self) -> None:
        """Close all."""
        self._opening.cancel()
        await asyncio.gather(self._opening, return_exceptions=True)
        await _close(self._backends)

    def _usable(self, number: int) -> float:
        return float(self._backends[number].health() is None)

    async def _open_rest(self) -> None:
        """Open what is not open yet, until all is."""
        while absent := [number for number, one in enumerate(self._backends) if isinstance(one, AbsentBackend)]:
            await asyncio.sleep(AGAIN)
            for number in absent:
                opened = self._backends[number] = await _open_one(self._listed, number, self._part, whatever=True)
                if not isinstance(opened, AbsentBackend) and self._metrics is not None:
                    opened.watch(self._metrics)
            backends = enumerate(self._backends, 1)
            reasons = [f"ledger {number}: {one.health()}" for number, one in backends if isinstance(one, AbsentBackend)]
            if reasons and (times := self._throttle.times()):
                log.error("ledgers of the list are away", reason="; ".join(reasons), times=times)


def part_of(limits: LedgerLimits, count: int) -> LedgerLimits:
    """The part of one of *count* ledgers in *limits*: what bounds all resources together is divided among them."""
    return replace(
        limits,
        max_open=-(-limits.max_open // count),
        max_backlog=-(-limits.max_backlog // count),
        max_leased=-(-limits.max_leased // count),
    )


async def _open_one(listed: LedgerList, number: int, part: LedgerLimits, *, whatever: bool = False) -> LedgerBackend:
    """The ledger *number*; one that is absent where it is away, or *whatever* else keeps it from being opened."""
    try:
        return await listed.open(number, part)
    except CollatorError as error:
        if whatever or isinstance(error, Unavailable):
            return AbsentBackend(error)
        raise _of_list(error, number)  # noqa: B904 - it is the same error


def _refuse_absent(listed: LedgerList, backends: Sequence[LedgerBackend]) -> None:
    absent = {number: one.error for number, one in enumerate(backends) if isinstance(one, AbsentBackend)}
    if absent and (not listed.complete or len(absent) == len(backends)):
        number = min(absent)
        raise _of_list(absent[number], number)


def _of_list(error: CollatorError, number: int) -> CollatorError:
    """*error*, which names the ledger."""
    error.detail = f"ledger {number + 1} of the list: {error.detail}"
    error.args = (error.detail,)
    return error


async def _durability(backend: LedgerBackend) -> Durability | Unavailable:
    if (trouble := backend.health()) is not None:
        return Unavailable(trouble)
    try:
        return await backend.durability()
    except Unavailable as error:
        return error


async def _close(backends: Sequence[LedgerBackend]) -> None:
    for result in await asyncio.gather(*[backend.aclose() for backend in backends], return_exceptions=True):
        if isinstance(result, BaseException):
            raise result
