"""The kinds of workers under test: each is one more line of the table, and no test names one.

A kind starts workers on a ledger with a processor of `tests.workers.behaviours`. What it cannot do is said as data
(`dies`, `forgery`, `hedges`), and a test that is about that is run for the kinds that can.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from collator.cli.children import free_port
from collator.metrics import Metrics
from collator.processor import HttpService, OutcomeFactory, Processor, SubprocessFunction, open_processor
from collator.seams.ledger import Ledger
from collator.seams.outbox import Outbox
from collator.seams.workers import Workers
from collator.workers.local_workers import LocalWorkers
from tests.harness.at_work import at_work
from tests.receiver import Judge, Receiver
from tests.workers.behaving_service import answer
from tests.workers.celery_kinds import OnCelery
from tests.workers.terms import Terms

__all__ = ["KINDS", "Kind", "Terms"]

MODULE = "tests.workers.behaviours"


class Kind(Protocol):
    """A kind of workers."""

    @property
    def batch(self) -> int:
        """How many packets a call takes, at most."""
        ...

    @property
    def dies(self) -> bool:
        """Whether calls are made in processes of their own: one may die, or be killed, and the workers go on."""
        ...

    @property
    def forgery(self) -> str:
        """The behaviour that answers for a packet of others; empty where nobody has a way to."""
        ...

    @property
    def hedges(self) -> bool:
        """Whether a call that takes long may be made a second time."""
        ...

    @property
    def service_port(self) -> int:
        """Where the HTTP service is that is called; 0 where none is."""
        ...

    def start(self, ledger: Ledger, outbox: Outbox, terms: Terms) -> AbstractAsyncContextManager[Workers]:
        """Workers at work on *ledger* while the context is open; leaving it ends them without a drain."""
        ...


@dataclass(frozen=True)
class Local:
    """Workers of this process, with a function of the behaviours."""

    behaviour: str
    pool: str = "thread"
    batch: int = 1
    forgery: str = ""
    service_port: int = 0

    @property
    def dies(self) -> bool:
        return self.pool == "process"

    @property
    def hedges(self) -> bool:
        return self.behaviour == "coroutine"

    @asynccontextmanager
    async def start(self, ledger: Ledger, outbox: Outbox, terms: Terms) -> AsyncIterator[Workers]:
        async with _at_work(ledger, outbox, self._processor(terms), terms) as workers:
            yield workers

    def _processor(self, terms: Terms) -> Processor:
        spec, outcomes = f"{MODULE}:{terms.behaviour or self.behaviour}", _outcomes(terms)
        if self.pool == "process":  # not by `open_processor`, which starts one more to try it out
            return SubprocessFunction(spec, outcomes, batch=self.batch)
        return open_processor(spec, outcomes, batch=self.batch)


@dataclass(frozen=True)
class Http:
    """Workers of this process, with an HTTP service that behaves."""

    batch: int = 1
    dies: bool = False
    forgery: str = ""
    hedges: bool = True
    service_port: int = field(default_factory=free_port)

    @asynccontextmanager
    async def start(self, ledger: Ledger, outbox: Outbox, terms: Terms) -> AsyncIterator[Workers]:
        processor = HttpService(f"http://127.0.0.1:{self.service_port}/", _outcomes(terms))
        async with AsyncExitStack() as stack:
            if terms.service:
                await stack.enter_async_context(Receiver((Judge(answer),), port=self.service_port))
            yield await stack.enter_async_context(_at_work(ledger, outbox, processor, terms))


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "threads": Local("plain"),
        "batches": Local("batch", batch=4),
        "processes": Local("plain", pool="process", forgery="forge"),
        "loops": Local("coroutine"),
        "http": Http(),
        "celery-threads": OnCelery("plain", "threads"),
        "celery-solo": OnCelery("plain", "solo", workers=3),
        "celery-prefork": OnCelery("plain", "prefork", dies=True),
        "celery-gevent": OnCelery("plain", "gevent"),
        "celery-batches": OnCelery("batch", "threads", batch=4),
        "celery-loops": OnCelery("coroutine", "threads"),
        "celery-http": OnCelery("", "threads"),
        "celery-http-prefork": OnCelery("", "prefork"),
        "celery-rabbitmq": OnCelery("plain", "threads", broker="rabbitmq"),
    }
)


@asynccontextmanager
async def _at_work(ledger: Ledger, outbox: Outbox, processor: Processor, terms: Terms) -> AsyncIterator[Workers]:
    options: dict[str, Any] = {"concurrency": terms.concurrency, "lease": terms.lease, "sweep": terms.sweep}
    options["hedge"] = terms.hedge
    workers = LocalWorkers(ledger, processor, outbox, metrics=Metrics(), **options)
    async with at_work(workers):
        yield workers


def _outcomes(terms: Terms) -> OutcomeFactory:
    return OutcomeFactory(timeout=terms.timeout, retries=terms.retries, patience=terms.patience, clock=terms.clock)
