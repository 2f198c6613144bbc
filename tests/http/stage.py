"""The delivery stage on a real ledger, for tests that are told in its steps: endpoints, resources that end, time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import msgspec

from collator.delivery import Circuits, Dispatcher, Endpoint
from collator.egress import Egress
from collator.errors import Uncertain
from collator.messages import Batch, Delivery, DeliveryFilter, DeliveryReport, Output, tasks_of
from collator.metrics import Metrics
from collator.packet import Packet
from collator.seams.ledger import Ledger
from collator.signing import SecretFile, generate_secret
from tests.wait import until


class Troubled:
    """A ledger that fails the next calls of some verbs, as a script says; all else passes through."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.trouble: dict[str, list[Exception]] = {}
        self.lost: dict[str, int] = {}
        """How many of the next answers of a verb are lost."""
        self.calls: list[str] = []
        self.answered: list[str] = []
        self.settled: list[int] = []

    async def pieces(self, delivery: Delivery) -> AsyncGenerator[bytes, None]:
        """As the ledger's, which gives them one by one; of several attempts to read the first that a script fails."""
        self.calls.append("pieces")
        if self.trouble.get("pieces"):
            raise self.trouble["pieces"].pop(0)
        async for piece in self._ledger.pieces(delivery):
            yield piece

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        async def call(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - whatever the verb takes and gives
            self.calls.append(verb)
            if self.trouble.get(verb):
                raise self.trouble[verb].pop(0)
            answer = await getattr(self._ledger, verb)(*arguments, **options)
            if self.lost.get(verb):
                self.lost[verb] -= 1
                raise Uncertain(retry_after=0.0)
            self.answered.append(verb)
            if verb == "record_attempts":
                self.settled.append(len(arguments[0]))
            return answer

        return call


class Stage:
    """A ledger, the delivery stage on it, and the steps that the tests are told in."""

    def __init__(self, ledger: Ledger, clock: Any, folder: Path, endpoints: dict[str, Endpoint]) -> None:  # noqa: ANN401
        self.ledger: Any = Troubled(ledger)
        self.clock = clock  # one that a test moves, but where it says otherwise
        self.metrics = Metrics()
        self.endpoints = endpoints
        self.folder = folder

    def endpoint(self, url: str, *, name: str = "default", concurrency: int = 64, timeout: float = 10.0) -> str:
        """Configure an endpoint; its secret."""
        secret, path = generate_secret(), self.folder / f"{name}.secret"
        path.write_text(secret)
        self.endpoints[name] = Endpoint(
            name=name, url=url, secrets=SecretFile(path), concurrency=concurrency, timeout=timeout
        )
        return secret

    @asynccontextmanager
    async def dispatcher(
        self, *, poll: float = 0.02, circuits: Circuits | None = None, egress: Egress | None = None
    ) -> AsyncIterator[Dispatcher]:
        """The stage, at work."""
        dispatcher = Dispatcher(
            self.ledger,
            self.endpoints,
            clock=self.clock,
            metrics=self.metrics,
            circuits=circuits,
            egress=egress,
            random=lambda: 0.0,
            poll=poll,
        )
        async with anyio.create_task_group() as group:
            group.start_soon(dispatcher.run)
            try:
                yield dispatcher
            finally:
                with anyio.CancelScope(shield=True):
                    await dispatcher.drain(0)
                group.cancel_scope.cancel()

    async def finish(
        self, *resources: str, dispatcher: Dispatcher | None = None, outputs: Sequence[bytes] = (b"1",)
    ) -> Sequence[Delivery]:
        """Let resources end; what is born is leased to *dispatcher* and taken by it, or stays due. What was leased."""
        packets = [
            Packet(name, index, msgspec.Raw(b"0"), last=index == len(outputs) - 1)
            for name in resources
            for index in range(len(outputs))
        ]
        tasks = tasks_of((await self.ledger.accept(Batch(packets).groups, capacity=len(packets))).runs)
        known_at = self.clock.monotonic()
        results = [Output(task.lease, outputs[task.key.index], known_at) for task in tasks]
        outcome = await self.ledger.record(results, capacity=dispatcher.capacity() if dispatcher else {})
        if dispatcher:
            dispatcher.take(outcome.deliveries, outcome.endpoints)
        return outcome.deliveries  # type: ignore[no-any-return]

    async def reports(self, **filters: Any) -> Sequence[DeliveryReport]:  # noqa: ANN401 - as a filter has them
        return (await self.ledger.deliveries(DeliveryFilter(**filters))).deliveries  # type: ignore[no-any-return]

    async def report(self) -> DeliveryReport:
        (report,) = await self.reports()
        return report

    async def polled(self, times: int = 3) -> None:
        """Wait until the stage has looked for what is due as many *times*."""
        polls = self.ledger.calls.count("due_endpoints")
        await until(lambda: self.ledger.calls.count("due_endpoints") > polls + times)

    async def settled(self, count: int) -> None:
        """Wait until the ledger has *count* attempts."""
        await until(lambda: sum(self.ledger.settled) >= count)
