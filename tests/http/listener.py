"""A listener for tests: the HTTP app on a port of its own over the real ledger, and a client that sends raw bytes.

Nobody works behind it, unless a test does: the workers have no capacity, and deliveries stay in the ledger.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from collator.errors import Unavailable, Unknown
from collator.intake import Intake
from collator.messages import (
    Accepted,
    Delivery,
    FailureReport,
    Group,
    ReceiverAnswer,
    Run,
    Task,
    WorkerReport,
    tasks_of,
)
from collator.metrics import Metrics
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Capacity, Ledger
from collator.signing import Secret
from collator.tokens import Tokens
from collator.web.app import App, Parts
from collator.web.limits import MIB, HttpLimits
from collator.web.server import Listener, serve
from tests.conformance.harness import LedgerClock
from tests.http.ledgers import STORES

PATIENCE = 20.0
"""Seconds after which a test gives up waiting for the listener."""


class Idle:
    """Workers and an outbox that do nothing but remember."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []
        self.notified = 0
        self.deliveries: list[Delivery] = []
        self.endpoints: set[str] = set()
        self.places = 0

    def submit(self, runs: Sequence[Run]) -> None:
        self.tasks += tasks_of(runs)

    def notify(self) -> None:
        self.notified += 1

    def health(self) -> str | None:
        return None

    def take(self, deliveries: Sequence[Delivery], endpoints: Iterable[str]) -> None:
        self.deliveries += deliveries
        self.endpoints |= set(endpoints)

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def drain(self, timeout: float) -> None:
        return


class Workers(Idle):
    def health(self) -> str | None:
        return None

    def in_hand(self) -> int:
        return 7

    def reports(self) -> Sequence[WorkerReport]:
        return ()

    def failures(self) -> Sequence[FailureReport]:
        return []

    def capacity(self) -> int:
        return self.places


class Sender(Idle):
    def __init__(self, names: Sequence[str] = ("default",)) -> None:
        super().__init__()
        self.names = names
        self.trouble: dict[str, str] = {}
        self.tries: dict[str, float] = {}
        self.tried: list[str] = []
        self.under_test: list[str] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.looked = 0

    def capacity(self) -> Capacity:
        return dict.fromkeys(self.names, self.places)

    async def refresh(self) -> None:
        self.looked += 1

    async def try_now(self, endpoint: str) -> bool:
        self.tried.append(endpoint)
        return endpoint == "crm"

    async def test(self, endpoint: str) -> ReceiverAnswer:
        if endpoint not in self.names:
            raise Unknown(f"endpoint {endpoint!r} is not configured")
        self.under_test.append(endpoint)
        await self.may_answer.wait()
        return ReceiverAnswer(webhook_id="msg_x", accepted=True, status=204, reason="HTTP 204", seconds=0.5, text="")

    def under_way(self) -> dict[str, int]:
        return dict.fromkeys(self.names, 3)

    def next_try(self, endpoint: str) -> float | None:
        return self.tries.get(endpoint)

    def why(self, endpoint: str) -> str | None:
        return self.trouble.get(endpoint)


class Troubled:
    """A ledger whose `accept` a test can stop, or make fail; all else is the real one's."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.open = asyncio.Event()
        self.open.set()
        self.calls: list[int] = []
        self.errors: dict[int, Exception] = {}
        """By the number of the call, from 0."""

    async def accept(self, groups: Sequence[Group], *, capacity: int, operation: str = "") -> Accepted:
        call = len(self.calls)
        self.calls.append(sum(map(len, groups)))
        await self.open.wait()
        if call in self.errors:
            raise self.errors[call]
        return await self._ledger.accept(groups, capacity=capacity, operation=operation)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the ledger has
        return getattr(self._ledger, name)


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - JSON may be anything
        return json.loads(self.body)

    @property
    def problem(self) -> dict[str, Any]:
        """The body, which must be a problem that agrees with the status (RFC 9457)."""
        assert self.headers["content-type"] == "application/problem+json", self
        problem: dict[str, Any] = self.json
        assert problem["status"] == self.status
        assert problem["type"] == f"urn:collator:problem:{problem['code']}"
        assert problem["title"]
        assert problem["detail"]
        return problem

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer

    def write(self, data: bytes) -> None:
        """Give *data* to the socket, which sends it when it can."""
        self._writer.write(data)

    def unsent(self) -> int:
        """Bytes that the socket did not take yet."""
        return self._writer.transport.get_write_buffer_size()

    async def send(self, data: bytes) -> None:
        async with asyncio.timeout(PATIENCE):
            self._writer.write(data)
            await self._writer.drain()

    async def reply(self) -> Reply:
        """The next answer, whole; interim answers are passed over. A stream of events has no end: it is not read."""
        async with asyncio.timeout(PATIENCE):
            status, headers = await self.head()
            if headers.get("content-type") == "text/event-stream":
                return Reply(status, headers, b"")
            if headers.get("transfer-encoding") == "chunked":
                return Reply(status, headers, b"".join([chunk async for chunk in self.chunks()]))
            return Reply(status, headers, await self.reader.readexactly(int(headers.get("content-length", 0))))

    async def head(self) -> tuple[int, dict[str, str]]:
        async with asyncio.timeout(PATIENCE):
            lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            status = int(lines[0].split()[1])
            if status == 100:
                return await self.head()
            return status, {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:-2])}

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        async with asyncio.timeout(PATIENCE):
            while size := int(await self.reader.readline(), 16):
                yield await self.reader.readexactly(size)
                await self.reader.readline()
            await self.reader.readline()

    async def lines(self) -> AsyncIterator[Any]:
        """The lines of a chunked answer, as they come."""
        rest = b""
        async for data in self.chunks():
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                yield json.loads(line)
        assert rest == b""

    async def end(self) -> bytes:
        """What comes until the listener closes the connection."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()

    def half_close(self) -> None:
        self._writer.write_eof()

    async def aclose(self) -> None:
        self._writer.close()
        with suppress(ConnectionError):  # where the listener has broken it off
            await self._writer.wait_closed()


async def connect(port: int, *, unread: int = 16 * MIB) -> Wire:
    """A connection to *port* that takes twice *unread* bytes and what sockets hold before it is read."""
    return Wire(*await asyncio.open_connection("127.0.0.1", port, limit=unread))


class Harness(NamedTuple):
    """An open listener, and what stands behind it."""

    port: int
    server: Listener
    ledger: Troubled
    intake: Intake
    workers: Workers
    sender: Sender
    metrics: Metrics
    clock: LedgerClock
    reasons: list[str]
    """Why it says that it is not ready."""
    app: App

    @asynccontextmanager
    async def wire(self, *, unread: int = 16 * MIB) -> AsyncIterator[Wire]:
        """A connection of its own; *unread* as in `connect`."""
        wire = await connect(self.port, unread=unread)
        try:
            yield wire
        finally:
            await wire.aclose()

    async def ask(
        self, method: str, path: str, body: bytes | None = None, *, media_type: str = "application/json", **more: str
    ) -> Reply:
        """One request on a connection of its own."""
        async with self.wire() as wire:
            await wire.send(request(method, path, body, media_type=media_type, **more))
            return await wire.reply()

    async def post(self, body: bytes | object, **more: str) -> Reply:
        """Packets, as JSON where they are not bytes."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.ask("POST", "/v1/packets", data, **more)

    async def stream(self, *lines: bytes | object, options: str = "") -> Reply:
        """A stream of lines, whole."""
        return await self.ask("POST", "/v1/packets" + options, ndjson(*lines), media_type="application/x-ndjson")


def request(
    method: str, path: str, body: bytes | None = None, *, media_type: str = "application/json", **more: str
) -> bytes:
    """A request as bytes; *more* are fields, with _ for -."""
    fields = {"host": "127.0.0.1", **{name.replace("_", "-"): value for name, value in more.items()}}
    if body is not None:
        fields |= {"content-length": str(len(body))} if "transfer-encoding" not in fields else {}
        fields |= {"content-type": media_type} if media_type else {}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + (body or b"")


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; the last one where *data* is empty."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def stream_head(options: str = "", **more: str) -> bytes:
    """The head of a stream whose chunks are to follow."""
    more = {"transfer_encoding": "chunked", **more}
    return request("POST", "/v1/packets" + options, b"", media_type="application/x-ndjson", **more)


def ndjson(*lines: bytes | object) -> bytes:
    """*lines*, each with its line feed."""
    return b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)


def packet(index: int = 0, resource_id: str | int = "r", payload: object = 0, **more: object) -> dict[str, Any]:
    """A packet as a sender writes it."""
    return {"resource_id": resource_id, "index": index, "payload": payload, **more}


@asynccontextmanager
async def open_door(
    data_dir: Path,
    *,
    limits: HttpLimits | None = None,
    ledger_limits: LedgerLimits | None = None,
    endpoints: Sequence[str] = ("default",),
    grace: float = PATIENCE,
    tokens: Callable[[], Tokens] | None = None,
    unavailable: Callable[[], Unavailable | None] = lambda: None,
    hide_payloads: bool = False,
    origins: Sequence[str] = (),
    ticket_secrets: Callable[[], Sequence[Secret]] | None = None,
    ui: bool = False,
    direct: bool = True,
) -> AsyncIterator[Harness]:
    """The HTTP app, open; *direct*: with the short way for single packets, as a service has it."""
    ledger_limits, store, metrics = ledger_limits or LedgerLimits(), STORES.at(data_dir), Metrics()
    ledger, clock = await store.open(ledger_limits, lambda _: endpoints), store.clock
    troubled, workers, sender, reasons = Troubled(ledger), Workers(), Sender(endpoints), list[str]()
    intake = Intake(troubled, workers, sender, metrics=metrics, unavailable=unavailable)
    parts = Parts(
        intake=intake,
        ledger=troubled,
        workers=workers,
        outbox=sender,
        metrics=metrics,
        wall=clock.wall,
        readiness=lambda: [*([refusal.detail] if (refusal := intake.refusal()) else []), *reasons],
        packet_limits=ledger_limits.packet_limits,
        limits=limits or HttpLimits(),
        tokens=tokens,
        hide_payloads=hide_payloads,
        origins=origins,
        ticket_secrets=ticket_secrets,
        ui=ui,
    )
    app = App(parts)
    try:
        serving = serve(
            app,
            port=0,
            limits=limits,
            grace=lambda: grace,
            stopping=intake.draining.is_set,
            refusals=app.refusals,
            direct=app.direct if direct else None,
        )
        async with serving as listener:
            yield Harness(listener.port, listener, troubled, intake, workers, sender, metrics, clock, reasons, app)
    finally:
        await store.stop(ledger)
