"""A service that is away, overloaded or wrongly configured, under real workers on a real ledger (R27, R28).

Each is a row of what real servers did, with a server that answers as they do: no packet fails that is not to blame.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from structlog.testing import capture_logs

from collator.clock import Clock, SystemClock
from collator.intake import Intake
from collator.ledgers.sqlite import open_ledger
from collator.messages import ResourceReport
from collator.metrics import Metrics
from collator.packet import Packet
from collator.processor import HttpService, OutcomeFactory
from collator.rules.resource import LedgerLimits
from collator.states import State
from collator.testing import ManualClock
from collator.workers.local_workers import LocalWorkers
from tests.harness.at_work import at_work
from tests.http.listener import Sender
from tests.receiver import Judge, Receiver, Request, Reset, Script, Step, reply
from tests.wait import until

OK = reply(200, "content-type: application/json", body=b"1")
GONE = reply(503, "content-type: text/plain", "connection: close", body=b"Service Unavailable")


class Limited:
    """A server that takes *limit* calls at a time, each *seconds* long, and refuses the others."""

    def __init__(self, limit: int, seconds: float, refusal: Script = GONE) -> None:
        self.limit, self.seconds, self.refusal = limit, seconds, refusal
        self.under_way = self.refused = self.taken = 0
        self.spent = 0.0  # seconds of all calls together, which are longer on a busy machine

    async def __call__(self, request: Request) -> Script:
        del request
        if self.under_way >= self.limit:
            self.refused += 1
            return self.refusal
        self.under_way += 1
        began = anyio.current_time()
        with anyio.move_on_after(self.seconds):
            await anyio.sleep_forever()
        self.under_way -= 1
        self.taken += 1
        self.spent += anyio.current_time() - began
        return OK


class House:
    """A ledger, and workers that call the service at *url*."""

    def __init__(self, ledger: Any, url: str, clock: Clock, **options: Any) -> None:  # noqa: ANN401 - the one on SQLite
        self.ledger, self.outbox, self.metrics = ledger, Sender(), Metrics()
        self.outbox.places = 9
        outcomes = OutcomeFactory(clock=clock, retries=0, patience=options.pop("patience", 3600.0))
        self.workers = LocalWorkers(
            ledger, HttpService(url, outcomes), self.outbox, metrics=self.metrics, sweep=0.01, **options
        )
        self.intake = Intake(ledger, self.workers, self.outbox, metrics=self.metrics)

    async def send(self, *payloads: object, resource_id: str = "r") -> None:
        last = len(payloads) - 1
        await self.intake.accept(
            [
                Packet(resource_id, index, msgspec.Raw(msgspec.json.encode(payload)), last=index == last)
                for index, payload in enumerate(payloads)
            ]
        )

    async def ended(self, resource_id: str = "r", *, timeout: float = 20.0) -> ResourceReport:
        await until(lambda: self.has_ended(resource_id), timeout)
        return await self.ledger.resource(resource_id)  # type: ignore[no-any-return]

    async def has_ended(self, resource_id: str = "r") -> bool:
        return (await self.ledger.resource(resource_id)).state is not State.OPEN

    def counted(self, cause: str) -> float:
        return self.metrics.registry.get_sample_value("collator_processor_calls_total", {"cause": cause}) or 0.0


@asynccontextmanager
async def house(data_dir: Path, url: str, clock: Clock | None = None, **options: Any) -> AsyncIterator[House]:  # noqa: ANN401 - those of the house
    clock = clock or SystemClock()
    ledger = await open_ledger(data_dir, ledger_limits=LedgerLimits(), clock=clock, route=lambda _: ["default"])
    built = House(ledger, url, clock, **options)
    async with aclosing(ledger), at_work(built.workers):
        yield built


def serving(judge: Callable[[Request], Awaitable[Script] | Script], *, port: int = 0) -> Receiver:
    step: Step = Judge(judge)
    return Receiver((step,), port=port)


async def a_look() -> None:
    """Let the workers look at the time, which they do every 25 ms."""
    with anyio.move_on_after(0.06):
        await anyio.sleep_forever()


# Overloaded.


async def test_a_service_of_eight_gets_what_it_takes_and_no_packet_fails(tmp_path: Path) -> None:
    service = Limited(8, 0.05)
    async with serving(service) as receiver, house(tmp_path, receiver.url, concurrency=32) as it:
        await it.send(*range(400))
        report = await it.ended()
    assert (report.state, report.done, report.failed) == (State.COLLATED, 400, 0)
    assert service.taken == 400
    assert (
        service.refused <= 24 + 0.1 * 400
    )  # those of the first round, and a few of the steps to see whether it takes more


async def test_a_service_of_two_with_429_is_never_idle_while_packets_wait(tmp_path: Path) -> None:
    # As BentoML 1.4.40 refuses beyond its max_concurrency: at once, and without Retry-After.
    refusal = reply(429, "content-type: application/json", body=b'{"error":"Too many requests"}')
    service = Limited(2, 0.1, refusal)
    async with serving(service) as receiver, house(tmp_path, receiver.url) as it:
        began = anyio.current_time()
        await it.send(*range(24))
        report = await it.ended()
        seconds = anyio.current_time() - began
    assert (report.done, report.failed) == (24, 0)
    assert seconds < 2 * service.spent / 2


async def test_a_service_that_counts_by_time_gets_few_calls_in_vain(tmp_path: Path) -> None:
    """Five in a window, as a rate limiter does; it names no time."""
    clock, windows = ManualClock(), dict[int, int]()

    def judge(request: Request) -> Script:
        del request
        window = int(clock.monotonic() // 60.0)
        windows[window] = windows.get(window, 0) + 1
        return OK if windows[window] <= 5 else reply(429, body=b"")

    async with serving(judge) as receiver, house(tmp_path, receiver.url, clock) as it:
        await it.send(*range(10))
        await until(lambda: it.counted("output") == 5)
        for _ in range(200):
            if await it.has_ended():
                break
            clock.advance(1.0)
            await a_look()
        report = await it.ended()
    assert (report.done, report.failed) == (10, 0)
    assert len(receiver.requests) <= 10 + 24


async def test_retry_after_holds_every_call_up(tmp_path: Path) -> None:
    clock = ManualClock()
    scripts = reply(429, "retry-after: 20", body=b""), OK
    async with Receiver(*scripts) as receiver, house(tmp_path, receiver.url, clock, concurrency=1) as it:
        await it.send(1, 2, 3)
        await until(lambda: it.counted("service") == 1)
        assert "HTTP 429; the next call is made in 20 s" in (it.workers.health() or "")
        clock.advance(19.0)
        with suppress(AssertionError):
            await until(lambda: len(receiver.requests) > 1, 0.2)
        assert len(receiver.requests) == 1
        clock.advance(1.0)
        assert (await it.ended()).failed == 0
        assert it.workers.health() is None


# Away.


async def test_a_service_that_is_away_for_a_while_costs_no_packet(tmp_path: Path, free_tcp_port: int) -> None:
    clock, service = ManualClock(), Limited(8, 0.0)
    url = f"http://127.0.0.1:{free_tcp_port}/hook"
    with capture_logs() as lines:
        async with house(tmp_path, url, clock) as it:
            await it.send(*range(100))
            await until(it.workers.health)
            assert it.workers.health() == (
                f"the processor {url} takes no packets: connection refused; the next call is made in 1 s"
            )
            for _ in range(8):
                clock.advance(1.0)
                await a_look()
            assert it.counted("service") <= 8 + 4  # those of the first round, and a probe after 1, 2 and 4 s
            async with serving(service, port=free_tcp_port):
                clock.advance(8.0)
                report = await it.ended()
    assert (report.state, report.done, report.failed) == (State.COLLATED, 100, 0)
    told = [line["event"] for line in lines if "the processor takes" in line["event"]]
    assert told == ["the processor takes no packets; they wait", "the processor takes packets again"]


async def test_a_restart_in_the_middle_of_calls_costs_no_packet(tmp_path: Path) -> None:
    service = Limited(8, 0.02)
    async with serving(service) as receiver:
        port = receiver.port
        async with house(tmp_path, receiver.url) as it:
            await it.send(*range(100))
            await until(lambda: service.taken > 20)
            await receiver.__aexit__(None, None, None)
            service.under_way = 0
            await until(it.workers.health)
            async with serving(service, port=port):
                report = await it.ended()
    assert (report.done, report.failed) == (100, 0)


# The configuration.


@pytest.mark.parametrize(("status", "words"), [(401, "HTTP 401"), (404, "HTTP 404"), (307, "HTTP 307")])
async def test_r28_a_wrong_path_or_key_is_told_and_costs_no_packet(tmp_path: Path, status: int, words: str) -> None:
    clock, mended = ManualClock(), False

    def judge(request: Request) -> Script:
        del request
        return OK if mended else reply(status, "content-type: text/plain", body=b"no, NEVERSHOWN")

    with capture_logs() as lines:
        async with serving(judge) as receiver, house(tmp_path, receiver.url, clock) as it:
            await it.send(*range(20))
            await until(it.workers.health)
            assert f"takes no packets: {words}; the next" in (it.workers.health() or ""), "who asks may be a stranger"
            mended = True
            clock.advance(1.0)
            report = await it.ended()
    assert (report.done, report.failed) == (20, 0)
    (error,) = (line for line in lines if line["log_level"] == "error")
    assert (error["processor"], error["answer"]) == (receiver.url, words)


# One payload.


async def poisoned(request: Request, script: Script) -> Script:
    return script if request.body == b'"poison"' else OK


async def test_a_payload_that_always_gets_503_holds_nobody_up_and_fails_once_patience_is_over(tmp_path: Path) -> None:
    clock = ManualClock()
    async with (
        serving(lambda request: poisoned(request, reply(503, body=b""))) as receiver,
        house(tmp_path, receiver.url, clock, patience=60.0) as it,
    ):
        await it.send("poison", *range(50))
        await until(lambda: it.counted("output") == 50)
        for turn in range(100):
            if await it.has_ended():
                break
            clock.advance(1.0)
            await it.send(turn, resource_id=f"other-{turn}")
            await a_look()
        report = await it.ended()
        assert (report.done, report.failed) == (50, 1)
        assert report.failures[0].reason == "HTTP 503; so for more than 60 s (processor_patience)"
        poison = [request for request in receiver.requests if request.body == b'"poison"']
        assert len(poison) < 25


async def test_a_payload_that_ends_its_connection_is_to_blame_where_others_are_answered(tmp_path: Path) -> None:
    clock = ManualClock()
    async with (
        serving(lambda request: poisoned(request, (Reset(),))) as receiver,
        house(tmp_path, receiver.url, clock) as it,
    ):
        await it.send("poison", *range(20))
        for _ in range(60):
            if await it.has_ended():
                break
            clock.advance(1.0)
            await a_look()
        report = await it.ended()
    assert (report.done, report.failed, report.failures[0].reason) == (20, 1, "connection reset by peer")
