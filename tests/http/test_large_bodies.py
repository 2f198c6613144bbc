"""Large bodies on the wire: they go out as the receiver takes them, never damaged, and always the same (P3, P5)."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import standardwebhooks
from structlog.testing import capture_logs

from collator.egress import Answer, Egress, NoAnswer, Pieces
from collator.errors import Damaged, Unavailable
from collator.messages import Delivery
from collator.states import DeliveryState
from tests.http.stage import Stage
from tests.receiver import Close, Receiver, Stall, reply
from tests.wait import until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("each_ledger_if_asked")]

LONG = 20.0
PIECE = b"x" * 256 * 1024
OUTPUT = json.dumps("x" * 900_000).encode()
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Reading:
    """A body of *count* pieces, and how many of them were asked for."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.given = 0
        self.ended = 0

    def body(self, size: int | None = None) -> Pieces:
        return Pieces(self.count * len(PIECE) if size is None else size, self.read)

    async def read(self) -> AsyncGenerator[bytes, None]:
        try:
            for _ in range(self.count):
                self.given += 1
                yield PIECE
        finally:
            self.ended += 1


@asynccontextmanager
async def listening(handler: Handler) -> AsyncIterator[str]:
    """A receiver that takes bytes only as *handler* reads them; its own buffers are small."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    listener.bind(("127.0.0.1", 0))
    handlers: list[asyncio.Task[None] | None] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.append(asyncio.current_task())
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await handler(reader, writer)
        writer.close()

    server = await asyncio.start_server(handle, sock=listener, limit=64 * 1024)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        for task in handlers:
            if task is not None:
                task.cancel()
        server.close()
        await server.wait_closed()


@pytest.fixture
async def egress() -> AsyncIterator[Egress]:
    egress = Egress()
    yield egress
    await egress.aclose()


async def test_p5_no_more_is_read_than_a_receiver_takes(egress: Egress) -> None:
    took = asyncio.Event()

    async def read_little(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(100_000)
        await took.wait()
        await reader.readexactly(body.count * len(PIECE) - 100_000)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    body = Reading(200)
    async with listening(read_little) as url:
        sending = asyncio.ensure_future(egress.send(url, {}, body.body(), timeout=LONG))
        given = -1
        while given != body.given:  # until nothing has moved for some turns
            given = body.given
            await asyncio.wait([sending], timeout=0.1)
        assert 0 < given <= 40  # the buffers of two sockets hold some MiB, of 50
        took.set()
        assert await sending == Answer(200)
    assert (body.given, body.ended) == (200, 1)


@pytest.mark.parametrize(("status", "outcome"), [(200, NoAnswer), (413, Answer), (503, Answer)])
async def test_r22_an_early_answer_ends_the_reading_and_a_success_is_none(
    egress: Egress, status: int, outcome: type
) -> None:
    async def answer_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d Early\r\ncontent-length: 0\r\n\r\n" % status)
        await asyncio.Event().wait()

    body = Reading(400)
    async with listening(answer_at_once) as url:
        answer = await egress.send(url, {}, body.body(), timeout=0.5 if status == 200 else LONG)
    assert isinstance(answer, outcome)
    assert answer == (NoAnswer("HTTP 200 before the whole body was sent") if status == 200 else Answer(status))
    await until(lambda: body.ended)
    assert body.given < 100


@pytest.mark.parametrize("size", [-1, 1], ids=["shorter than it was", "longer than it was"])
async def test_p3_a_body_that_is_not_of_its_size_is_not_passed_for_one(egress: Egress, size: int) -> None:
    body, came = Reading(4), bytearray()

    async def take(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        while data := await reader.read(65536):
            came.extend(data)

    async with listening(take) as url:
        with pytest.raises(ValueError, match="has changed"):
            await egress.send(url, {}, body.body(4 * len(PIECE) - size), timeout=LONG)
        await until(lambda: body.ended)
    assert len(came) < 4 * len(PIECE) - size


async def test_a_kept_connection_that_was_closed_costs_a_body_in_pieces_no_attempt(egress: Egress) -> None:
    async with Receiver(reply(200), (Close(),), reply(200)) as receiver:
        assert await egress.send(receiver.url, {}, b"", timeout=LONG) == Answer(200)
        body = Reading(8)
        assert await egress.send(receiver.url, {}, body.body(), timeout=LONG) == Answer(200)
    assert [len(request.body) for request in receiver.requests] == [0, 8 * len(PIECE), 8 * len(PIECE)]
    assert body.ended == 2


async def test_p3_every_attempt_at_a_large_body_has_the_same_bytes_and_a_signature_that_holds(stage: Stage) -> None:
    scripts = (reply(500), reply(413), reply(200))
    async with Receiver(*scripts) as receiver:
        secret = stage.endpoint(receiver.url)
        async with stage.dispatcher() as dispatcher:
            await stage.finish("r", dispatcher=dispatcher, outputs=[OUTPUT] * 7)
            for count in (1, 2, 3):
                await stage.settled(count)
                stage.clock.advance(60.0)
    assert len(receiver.requests) == len(scripts)
    assert len({request.body for request in receiver.requests}) == 1
    for request in receiver.requests:
        assert request.headers["content-length"] == str(len(request.body))
        standardwebhooks.Webhook(secret).verify(request.body, dict(request.headers))
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1
    assert (await stage.report()).state is DeliveryState.DELIVERED


@pytest.mark.parametrize(
    ("trouble", "state"),
    [
        (Damaged("the output of index 1 does not match its checksum"), DeliveryState.DEAD),
        (Unavailable("the store cannot be read at the moment"), DeliveryState.DUE),
    ],
)
@pytest.mark.parametrize("reading", [1, 2], ids=["as it is signed", "as it is sent"])
async def test_p3_a_body_that_cannot_be_read_to_its_end_never_arrives(
    stage: Stage, trouble: Exception, state: DeliveryState, reading: int
) -> None:
    read, readings = stage.ledger.pieces, [0]

    async def broken(delivery: Delivery) -> AsyncGenerator[bytes, None]:
        readings[0] += 1
        count = 0
        async for piece in read(delivery):
            if readings[0] == reading and count == 3:
                raise trouble
            count += 1
            yield piece

    stage.ledger.pieces = broken
    async with Receiver() as receiver:
        stage.endpoint(receiver.url)
        async with stage.dispatcher(poll=3600.0) as dispatcher:
            with capture_logs():
                await stage.finish("r", dispatcher=dispatcher, outputs=[OUTPUT] * 7)
                await stage.settled(1)
        assert (receiver.requests, receiver.connections) == ([], reading - 1)
    report = await stage.report()
    assert (report.state, trouble.args[0] in (report.reason or "")) == (state, True)


async def test_p5_a_receiver_that_hangs_over_a_large_body_ends_its_reading_with_the_attempt(stage: Stage) -> None:
    async with Receiver((Stall(),)) as receiver:
        stage.endpoint(receiver.url, timeout=0.3)
        async with stage.dispatcher(poll=3600.0) as dispatcher:
            await stage.finish("r", dispatcher=dispatcher, outputs=[OUTPUT] * 7)
            await stage.settled(1)
    assert (await stage.report()).reason.startswith("timed out after 0.3 s")
