"""THE SEAM to what a ledger and workers stand on: what opens them, says how they are, and closes them.

The verbs of a ledger say what is stored; its backend says whether it can be asked at all: what only one kind of it has,
a disk or connections to a server, is known there and nowhere else. `collator.ledgers.open_backend` opens the one that
the settings name. Likewise workers: whoever calls the processor, in this process or elsewhere, is made by a backend,
which `collator.workers.open_backend` opens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from collator.errors import CollatorError, Unavailable
from collator.interim import InterimOutputs
from collator.messages import Durability
from collator.metrics import Metrics
from collator.seams.ledger import Ledger
from collator.seams.outbox import Outbox
from collator.seams.workers import Workers

if TYPE_CHECKING:
    from collator.tracing.tracer import Tracing

Routing = Callable[[str], Sequence[str]]
"""Gives the names of the endpoints of a resource, by its id."""


class LedgerBackend(Protocol):
    """A ledger that is open. Its questions are asked for each packet: they look into memory, and never block."""

    @property
    def ledger(self) -> Ledger:
        """The verbs."""
        ...

    @property
    def begun(self) -> bool:
        """Whether this start has made the store, of which there was nothing before."""
        ...

    @property
    def behind(self) -> float:
        """Seconds by which the ledger's time stays behind a clock that has jumped (`LedgerLimits.clock_jump`)."""
        ...

    def watch(self, metrics: Metrics) -> None:
        """Count each commit in *metrics* from now on, and show there what only this kind of ledger has to show."""
        ...

    def health(self) -> str | None:
        """The trouble with the store, in words; `None` while all is well."""
        ...

    def refusal(self) -> Unavailable | None:
        """The error for all packets while the store could not take them, or not soon; `None` while it can (P5).

        What is there is processed and delivered meanwhile, as far as the store takes it.
        """
        ...

    def risks(self) -> Sequence[str]:
        """The reasons why an acknowledged packet may be lost nevertheless, a sentence each; none where P1 holds."""
        ...

    async def durability(self) -> Durability:
        """The durability of commits, by a look at the store. `Unavailable`."""
        ...

    def lost(self) -> CollatorError | None:
        """Return the error to end the process with, where the store is gone for good; `None` while it is not."""
        ...

    async def aclose(self) -> None:
        """Make the stop a clean one, and close: packets that are handed out are due at once at the next start."""
        ...


class WorkersBackend(Protocol):
    """Those who call one processor, which was found usable: at work for one ledger, once it says which."""

    @property
    def separate(self) -> bool:
        """Whether the processor is called outside this process, so that what ends its call does not end the service."""
        ...

    @property
    def wants_metadata(self) -> bool:
        """Whether the processor is given the metadata of the resource, so that the ledger has to hand it out."""
        ...

    @property
    def interim(self) -> InterimOutputs:
        """The interim outputs of calls in this process."""
        ...

    def workers(
        self, ledger: Ledger, outbox: Outbox, *, metrics: Metrics, lease: float, tracing: Tracing | None = None
    ) -> Workers:
        """The workers, which claim from *ledger* under leases of *lease* seconds, and tell *outbox* of deliveries.

        *tracing* makes a span of each call.
        """
        ...
