"""Sources of packets as programs have them: they wait, they raise, they are cancelled; nothing that they gave is lost.

All of it by `Client`, and what can differ by `SyncClient`.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import chain
from typing import Any

import pytest

from collator.client import Client, SyncClient, Tally, Unreachable, handover, transfer
from collator.client.answer import Response
from tests.unit.test_client import Script, accept, packets, problem, serving
from tests.wait import until

PATIENCE = 10.0
Packet = dict[str, Any]


class SourceError(Exception):
    """What a source raises."""


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(transfer, "LONGEST_PAUSE", 0.002)


@pytest.fixture(autouse=True)
def no_complaints(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing is said of an error that nobody retrieved, or of a task that was forgotten."""
    with caplog.at_level(logging.WARNING, "asyncio"):
        yield
        gc.collect()
    assert [record.getMessage() for record in caplog.records] == []


def writer(told: Callable[[], object]) -> Script:
    def step(given: list[Packet]) -> tuple[int, Any]:
        told()
        return accept(given)

    return step


async def test_a_plain_generator_may_wait_and_each_packet_leaves_at_once() -> None:
    acknowledged = threading.Semaphore(0)

    def source() -> Iterator[Packet]:
        for packet in packets(5):
            yield packet
            assert acknowledged.acquire(timeout=PATIENCE)  # for ever, if that packet waited for the next one

    async with serving(writer(acknowledged.release)) as service, Client(service.url) as client:
        await client.send(source())
    assert [len(request) for request in service.requests] == [1] * 5


async def test_a_generator_that_waits_does_not_hold_up_the_loop() -> None:
    from_the_loop = threading.Event()

    def source() -> Iterator[Packet]:
        yield packets(1)[0]
        assert from_the_loop.wait(PATIENCE)
        yield packets(2)[1]

    async with serving(accept) as service, Client(service.url) as client:
        sending_ = asyncio.create_task(client.send(source()))
        await until(lambda: service.requests)
        from_the_loop.set()
        assert (await sending_).acknowledged == 2


@pytest.mark.parametrize("in_flight", [1, 3])
async def test_batches_form_while_a_request_is_under_way_and_only_then(in_flight: int) -> None:
    given = asyncio.Event()
    queue: asyncio.Queue[Packet | None] = asyncio.Queue()

    async def source() -> AsyncIterator[Packet]:
        while (packet := await queue.get()) is not None:
            yield packet
        given.set()

    requests: list[int] = []
    answers = asyncio.Semaphore(0)

    class Held:
        where = "here"

        async def request(self, method: str, path: str, body: bytes | None = None) -> Any:  # noqa: ANN401 - an answer
            assert body is not None
            sent = json_of(body)
            requests.append(len(sent))
            await answers.acquire()
            status, said = accept(sent)
            return answer_of(status, said)

        async def stream(self, path: str, *, last_event_id: str) -> Any:  # noqa: ANN401 - nobody follows
            raise AssertionError(path, last_event_id)

        async def aclose(self) -> None:
            pass

    async with Client("http://127.0.0.1:1", in_flight=in_flight) as client:
        await client._connection.aclose()
        client._connection = Held()
        running = asyncio.create_task(client.send(source()))
        for number, packet in enumerate(packets(in_flight), 1):
            queue.put_nowait(packet)
            await until(lambda: len(requests) == number)  # noqa: B023 - called at once
        for packet in packets(in_flight + 5)[in_flight:]:
            queue.put_nowait(packet)
        queue.put_nowait(None)
        await until(given.is_set)
        for _ in range(in_flight + 1):
            answers.release()
        assert (await running).acknowledged == in_flight + 5
    assert requests == [1] * in_flight + [5]


def json_of(body: bytes) -> list[Packet]:
    found: list[Packet] = json.loads(body)
    return found


def answer_of(status: int, said: object) -> object:
    return Response(status, json.dumps(said).encode(), 0.0)


def plain(count: int, error: BaseException) -> Iterator[Packet]:
    yield from packets(count)
    raise error


async def asynchronous(count: int, error: BaseException) -> AsyncIterator[Packet]:
    for packet in packets(count):
        yield packet
    raise error


@pytest.mark.parametrize("count", [0, 1, 7, 1200])
@pytest.mark.parametrize("source", [plain, asynchronous])
async def test_what_was_given_before_a_source_raised_is_sent(source: Callable[..., Any], count: int) -> None:
    tally = Tally()
    async with serving(accept) as service, Client(service.url, batch=100) as client:
        with pytest.raises(SourceError, match="broke"):
            await client.send(source(count, SourceError("broke")), tally=tally)
    assert (tally.sent, tally.acknowledged) == (count, count)
    assert sorted(p["index"] for request in service.requests for p in request) == [*range(count)]


async def test_what_was_given_before_a_source_raised_is_sent_by_the_client_without_a_loop_too() -> None:
    tally = Tally()

    def send(url: str) -> None:
        with SyncClient(url) as client, pytest.raises(SourceError, match="broke"):
            client.send(plain(5, SourceError("broke")), tally=tally)

    async with serving(accept) as service:
        await asyncio.to_thread(send, service.url)
    assert (tally.sent, tally.acknowledged) == (5, 5)


async def test_an_error_of_the_source_counts_before_packets_that_were_rejected() -> None:
    tally = Tally()
    async with serving(accept) as service, Client(service.url) as client:
        with pytest.raises(SourceError):
            await client.send(plain(2, SourceError()), tally=tally)
        with pytest.raises(SourceError):
            await client.send(chain([b"no JSON"], plain(0, SourceError())), tally=tally)
    assert [one.number for one in tally.rejected] == [1]


async def test_a_source_that_is_cancelled_from_elsewhere_ends_it_as_an_error_does() -> None:
    async with serving(accept) as service, Client(service.url) as client:
        tally = Tally()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(client.send(asynchronous(3, asyncio.CancelledError()), tally=tally), PATIENCE)
    assert tally.acknowledged == 3


async def test_a_send_that_gives_up_says_what_the_source_raised_before() -> None:
    async with serving(problem(503, "draining")) as service, Client(service.url, patience=0) as client:
        with pytest.raises(Unreachable) as caught:
            await client.send(asynchronous(3, SourceError("broke")))
    assert isinstance(caught.value.__cause__, SourceError)


@pytest.mark.parametrize("where", ["source", "request", "queue"])
async def test_a_send_that_is_cancelled_ends_at_once_and_closes_its_source(where: str) -> None:
    closed, reached = asyncio.Event(), asyncio.Event()

    async def source() -> AsyncIterator[Packet]:
        try:
            for packet in packets(10):
                yield packet
                if where == "source":
                    reached.set()
                    await asyncio.Event().wait()
        finally:
            closed.set()
            raise SourceError("while it was closed")

    def busy(_: list[Packet]) -> tuple[int, Any]:
        reached.set()
        return 503, {}

    step, batch = (accept if where == "source" else busy), 1 if where == "queue" else 100
    async with serving(step) as service, Client(service.url, batch=batch, in_flight=1, patience=None) as client:
        running = asyncio.create_task(client.send(source()))
        await reached.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(running, PATIENCE)
        assert closed.is_set()


async def test_a_send_that_gives_up_leaves_a_generator_that_waits() -> None:
    goes_on = threading.Event()
    before = threading.active_count()

    def source() -> Iterator[Packet]:
        yield packets(1)[0]
        goes_on.wait(PATIENCE)
        while True:
            yield packets(1)[0]

    async with serving(problem(503, "draining")) as service, Client(service.url, patience=0) as client:
        with pytest.raises(Unreachable):
            await client.send(source())
    assert threading.active_count() == before + 1
    goes_on.set()
    await until(lambda: threading.active_count() == before)


async def test_a_fast_generator_is_never_read_far_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "AHEAD", 10)
    given: list[int] = []

    def source() -> Iterator[Packet]:
        for packet in packets(1000):
            given.append(packet["index"])
            yield packet

    ahead: list[int] = []
    async with (
        serving(writer(lambda: ahead.append(len(given)))) as service,
        Client(service.url, batch=5, in_flight=1) as client,
    ):
        tally = await client.send(source())
    assert tally.acknowledged == 1000
    assert ahead[0] <= 10 + 2 * 5 + 5 + 2


@pytest.mark.parametrize("wrong", [5, None, object()])
async def test_what_gives_nothing_is_told(wrong: Any) -> None:  # noqa: ANN401 - what is wrong on purpose
    async with Client("http://127.0.0.1:1") as client:
        with pytest.raises(TypeError, match="not iterable"):
            await client.send(wrong)


async def test_a_client_without_a_loop_that_is_interrupted_ends_in_silence() -> None:
    def send(url: str) -> None:
        def interrupted() -> Iterator[Packet]:
            yield packets(1)[0]
            raise KeyboardInterrupt

        with SyncClient(url, patience=0.05) as client, pytest.raises(KeyboardInterrupt):
            client.send(interrupted())

    async with serving(problem(503, "draining")) as service:
        await asyncio.to_thread(send, service.url)
