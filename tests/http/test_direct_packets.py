"""Single packets that are answered past the app: as the app answers them, whatever comes, and in whatever reads."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collator.errors import StorageFull
from collator.tokens import Role, TokenFile, Tokens, generate_token, line_for, parse_tokens
from collator.web.connections import Admission
from collator.web.guard import Guard
from tests.http.listener import Harness, Reply, open_door, packet, request
from tests.http.listeners import calling
from tests.http.reads import LAST, answers, connected
from tests.wait import until

MEMORY = Path("/dev/shm")  # noqa: S108 - the directory in it is made safely
SENDER, READER = generate_token(), generate_token()
ROLES = {SENDER: Role.SEND, READER: Role.READ}
TOKENS = parse_tokens("\n".join(line_for(token, roles=[role], name=role) for token, role in ROLES.items()))
NAMES = count()

# Requests, most of them good, most of the others with one thing wrong.

LINES = st.sampled_from([
    *["POST /v1/packets HTTP/1.1"] * 40, "POST /v1/packets HTTP/1.0", "PUT /v1/packets HTTP/1.1",
    "GET /healthz HTTP/1.1",
    "POST /v1/packets?receipts=all HTTP/1.1", "POST /v1/packets?x=1 HTTP/1.1", "POST /v1/packets/ HTTP/1.1",
    "POST http://localhost/v1/packets HTTP/1.1", "POST http://evil.example/v1/packets HTTP/1.1",
    "POST /v1/%70ackets HTTP/1.1", "POST  /v1/packets HTTP/1.1",
])  # fmt: skip
HOSTS = st.sampled_from([*["host: localhost"] * 40, "host: evil.example", "", "Host: 127.0.0.1", "host: a\r\nhost: b"])
TYPES = st.sampled_from([
    *["content-type: application/json"] * 40, "content-type: text/plain", "", "Content-Type: APPLICATION/JSON",
    "content-type: application/json; charset=utf-8", "content-type: application/json; charset=utf-16",
    "content-type: application/x-ndjson",
])  # fmt: skip
CALLERS = st.sampled_from([
    *[f"authorization: Bearer {SENDER}"] * 40, f"Authorization: bearer {SENDER}", f"authorization: Bearer {READER}",
    "authorization: Bearer x", "",
])  # fmt: skip
MORE = st.sampled_from([
    *[""] * 40, "user-agent: test", "connection: keep-alive", "connection: close", "expect: 100-continue",
    "origin: http://localhost", "origin: http://evil.example", "content-encoding: gzip", "content-encoding: identity",
    "connection: upgrade\r\nupgrade: h2c", "content-length: 3", "x: " + "y" * 200, "x y: z", "te: trailers",
])  # fmt: skip
FRAMINGS = st.sampled_from([*["length"] * 40, "chunked", "too long", "too short", "none", "both"])
BODIES = st.sampled_from([
    *['{"resource_id":"%s","index":0,"payload":"the quick brown fox"}'] * 20,
    *['{"resource_id":"%s","index":1,"payload":1,"last":true}'] * 20,
    '{"resource_id":"%s","index":0,"payload":"another"}', '{"resource_id":"%s","index":2,"payload":null}',
    ' {"resource_id":"%s","index":0,"payload":0}', '[{"resource_id":"%s","index":3,"payload":0}]', "", " ", "{}", "{",
    '{"resource_id":"%s","index":-1,"payload":0}', '{"resource_id":"%s","index":0,"payload":1e999}',
    '{"resource_id":"%s","index":0,"payload":0}\n{"resource_id":"%s","index":1,"payload":0}',
    '\ufeff{"resource_id":"%s","index":4,"payload":0}', '{"resource_id":"%s","index":0,"payload":0,"x":1}',
    '{"resource_id":"%s","index":5,"payload":"LARGE"}',
])  # fmt: skip


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """One request; ``NAME`` stands for the id of its resource."""
    body, framing = draw(BODIES).replace("%s", "NAME").replace("LARGE", "x" * 70_000).encode(), draw(FRAMINGS)
    length = len(body) + {"too long": 7, "too short": -3}.get(framing, 0)
    fields = [draw(HOSTS), draw(CALLERS), draw(TYPES), draw(MORE)]
    fields += [] if framing in {"chunked", "none"} else [f"content-length: {length}"]
    fields += ["transfer-encoding: chunked"] if framing in {"chunked", "both"} else []
    head = "\r\n".join([draw(LINES), *filter(None, fields), "", ""]).encode()
    return head + (b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if framing == "chunked" and body else body)


@st.composite
def conversations(draw: st.DrawFn) -> list[bytes]:
    """The reads in which some requests come: together, one by one, or in pieces, and again."""
    reads: list[bytes] = []
    for one in draw(st.lists(requests(), min_size=1, max_size=4)):
        for data in [one] * draw(st.sampled_from([1, 1, 2, 3])):
            cut = draw(st.sampled_from([0, 0, 0, 1, 17, data.find(b"\r\n\r\n") + 4, len(data) - 1]))
            pieces = [piece for piece in (data[:cut], data[cut:]) if piece]
            if reads and reads[-1] and draw(st.integers(0, 3)) == 0:
                reads[-1] += pieces.pop(0)  # in one read with the end of the one before
            reads += pieces
            reads += [b""] * draw(st.sampled_from([0, 1, 1]))
    return [*reads, LAST]


class Sides:
    """Two services alike: one answers packets past the app."""

    def __init__(self, tokens: Tokens | None) -> None:
        self.runner = asyncio.Runner()
        self._opened = AsyncExitStack()
        self._tokens = None if tokens is None else lambda: tokens

    async def open(self, folder: Path) -> None:
        self.sides = [
            await self._opened.enter_async_context(open_door(folder / name, tokens=self._tokens, direct=direct))
            for name, direct in (("direct", True), ("app", False))
        ]

    async def answers(self, reads: Sequence[bytes]) -> tuple[bytes, bytes]:
        direct, app = self.sides
        return await answers(direct.app, reads, direct=True), await answers(app.app, reads, direct=False)

    async def aclose(self) -> None:
        await self._opened.aclose()

    def told(self) -> list[dict[str, float]]:
        """What each counts: packets by what became of them, and refusals by their reason."""
        return [
            {
                f"{sample.name} {sorted(sample.labels.items())}": sample.value
                for metric in (side.metrics.packets, side.metrics.refused)
                for family in metric.collect()
                for sample in family.samples
                if not sample.name.endswith("_created")
            }
            for side in self.sides
        ]


@pytest.fixture(scope="module", params=[None, TOKENS], ids=["without tokens", "with tokens"])
def sides(request: pytest.FixtureRequest) -> Iterator[Sides]:
    both = Sides(request.param)
    with both.runner, tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        both.runner.run(both.open(Path(folder)))
        yield both
        both.runner.run(both.aclose())


@given(reads=conversations())
def test_every_byte_is_that_of_the_app(sides: Sides, reads: list[bytes]) -> None:
    name = b"%04d" % next(NAMES)
    direct, app = sides.runner.run(sides.answers([data.replace(b"NAME", name) for data in reads]))
    assert direct == app
    assert direct.startswith(b"HTTP/1.1 ")
    counted = sides.told()
    assert counted[0] == counted[1]


# A head that was seen before.


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What the parser was given."""
    found: list[bytes] = []
    feed = Guard.feed

    def noted(self: Guard, data: bytes) -> None:
        found.append(data)
        feed(self, data)

    monkeypatch.setattr(Guard, "feed", noted)
    return found


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[Harness]:
    async with open_door(tmp_path) as listener:
        yield listener


def post(index: int = 0, **more: str) -> bytes:
    """A request with one packet; those with an index of one digit have equal heads."""
    return request("POST", "/v1/packets", json.dumps(packet(index)).encode(), **more)


async def test_a_head_that_was_seen_needs_no_parser_on_any_connection(listener: Harness, parsed: list[bytes]) -> None:
    async with listener.wire() as one, listener.wire() as other:
        for index, wire in enumerate((one, one, other, other, one)):
            await wire.send(post(index))
            assert (await wire.reply()).json == {"resource_id": "r", "index": index, "status": "accepted"}
    assert parsed == [post(0)]


@pytest.mark.parametrize(
    "sent",
    [
        post(1, host="127.0.0.2"), post(1).replace(b"POST", b"post"), post(1).replace(b"HTTP/1.1", b"HTTP/1.0"),
        post(1).replace(b"host", b"Host"), post(1).replace(b"/v1/packets", b"/v1/packetz"), b"\r\n" + post(1),
        post(1).replace(b"/json", b"/jsom"), post(1) + b" ", post(1)[:-1], post(10), post(1) + post(2),
        post(1).replace(b"\r\n\r\n", b"\r\nx: y\r\n\r\n"),
    ],
)  # fmt: skip
async def test_one_byte_more_or_less_or_another_takes_the_parser(
    listener: Harness, parsed: list[bytes], sent: bytes
) -> None:
    async with listener.wire() as wire:
        await wire.send(post(0))
        assert (await wire.reply()).status == 202
        await wire.send(sent)
        await until(lambda: b"".join(parsed[1:]) == sent)


async def test_a_known_head_whose_body_comes_later_takes_the_parser(listener: Harness, parsed: list[bytes]) -> None:
    head, end, body = post(1).partition(b"\r\n\r\n")
    async with listener.wire() as wire:
        await wire.send(post(0))
        assert (await wire.reply()).status == 202
        for piece in (head + end, body[:5], body[5:]):
            await wire.send(piece)
            await until(lambda piece=piece: parsed[-1] == piece)  # type: ignore[misc]  # as mypy sees a lambda
        assert (await wire.reply()).status == 202


async def test_what_comes_before_the_answer_takes_the_parser_and_waits_its_turn(
    listener: Harness, parsed: list[bytes]
) -> None:
    async with listener.wire() as wire:
        await wire.send(post(0))
        assert (await wire.reply()).status == 202
        listener.ledger.open.clear()
        await wire.send(post(1))
        await until(lambda: sum(listener.ledger.calls) == 2)
        await wire.send(post(2))
        await until(lambda: parsed == [post(0), post(2)])
        listener.ledger.open.set()
        assert [(await wire.reply()).json["index"] for _ in range(2)] == [1, 2]


@pytest.mark.parametrize(
    "fields",
    [
        {"expect": "100-continue"},
        {"connection": "close"},
        {"connection": "x, close"},
        {"upgrade": "h2c", "connection": "upgrade"},
        {"te": "trailers"},
        {"trailer": "x"},
        {"x": "y" * 3000},
    ],
)
async def test_a_head_that_means_more_or_is_long_is_never_kept(listener: Harness, fields: dict[str, str]) -> None:
    for index in range(2):
        async with listener.wire() as wire:
            await wire.send(post(index, **fields))
            assert (await wire.reply()).status == 202
    chunked = request("POST", "/v1/packets", b"", transfer_encoding="chunked")
    async with listener.wire() as wire:
        await wire.send(chunked + b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY))
        assert (await wire.reply()).status == 200
    assert len(listener.app.direct.known) == 0


BODY = json.dumps(packet()).encode()


async def test_a_refused_head_is_never_kept(tmp_path: Path) -> None:
    async with open_door(tmp_path, tokens=lambda: TOKENS) as listener:
        for fields in (
            {},
            {"authorization": f"Bearer {READER}"},
            {"authorization": f"Bearer {SENDER}", "host": "evil.example"},
        ):
            assert (await listener.ask("POST", "/v1/packets", BODY, **fields)).status in {401, 403, 421}
        assert len(listener.app.direct.known) == 0
        assert (await listener.ask("POST", "/v1/packets", BODY, authorization=f"Bearer {SENDER}")).status == 202
        assert len(listener.app.direct.known) == 1


async def test_a_token_that_is_taken_back_ends_at_once_also_on_a_kept_connection(
    tmp_path: Path, parsed: list[bytes]
) -> None:
    file = tmp_path / "tokens"

    def write(*roles: Role) -> None:
        lines = [line_for(generate_token(), roles=[Role.ADMIN], name="another")]
        lines += [line_for(SENDER, roles=[role], name="the sender") for role in roles]
        file.write_text("\n".join(lines))

    write(Role.SEND)
    async with (
        open_door(tmp_path / "data", tokens=TokenFile(file).current) as listener,
        calling(listener.port) as caller,
    ):
        ask = partial(post, authorization=f"Bearer {SENDER}")
        assert [(await caller.ask(ask(index))).status for index in range(3)] == [202] * 3
        assert len(parsed) == 1
        for index, (roles, status) in enumerate([([], 401), ([Role.SEND], 202), ([Role.READ], 403)], 3):
            write(*roles)
            assert (await caller.ask(ask(index))).status == status
        assert len(parsed) == 4


@pytest.mark.parametrize("asked", range(4))
async def test_a_token_that_is_taken_back_while_its_head_is_judged_ends_too(tmp_path: Path, asked: int) -> None:
    """Whichever look at the tokens is the last before that."""
    left = iter([TOKENS] * asked)
    without = parse_tokens(line_for(READER, roles=[Role.SEND], name="another"))
    async with open_door(tmp_path, tokens=lambda: next(left, without)) as listener, calling(listener.port) as caller:
        replies = [await caller.ask(post(index, authorization=f"Bearer {SENDER}")) for index in range(3)]
        assert replies[-1].status == 401


async def test_blank_lines_before_a_known_head_take_the_parser(listener: Harness, parsed: list[bytes]) -> None:
    connection, socket = connected(listener.app, direct=True)
    for data in (post(0), b"\r\n", post(1)):
        connection.data_received(data)
        await until(lambda: connection.idle_since() is not None)
    assert parsed == [post(0), b"\r\n", post(1)]
    assert bytes(socket.written).count(b"HTTP/1.1 202") == 2
    connection.connection_lost(None)


@pytest.mark.parametrize("end", ["eof_received", "shutdown"])
async def test_p7_who_sends_no_more_and_who_is_asked_to_stop_are_answered_before_the_end(
    listener: Harness, end: str
) -> None:
    connection, socket = connected(listener.app, direct=True)
    connection.data_received(post(0))
    await until(lambda: connection.idle_since() is not None)
    listener.ledger.open.clear()
    connection.data_received(post(1))
    await until(lambda: sum(listener.ledger.calls) == 2)
    getattr(connection, end)()
    assert not socket.ended
    listener.ledger.open.set()
    await until(lambda: socket.ended)
    first, last = bytes(socket.written).split(b"HTTP/1.1 202 Accepted\r\n")[1:]
    assert b"connection: close" not in first
    assert b"connection: close" in last
    connection.connection_lost(None)


@pytest.mark.parametrize("fields", [{}, {"x": "y"}], ids=["a known head", "a new head"])
async def test_p5_who_does_not_read_his_answers_gets_no_further(tmp_path: Path, fields: dict[str, str]) -> None:
    async with open_door(tmp_path) as listener:
        connection, socket = connected(listener.app, direct=True)
        for index in range(2):
            connection.data_received(post(index))
            await until(lambda: connection.idle_since() is not None)
        connection.pause_writing()
        read = len(socket.written)
        connection.data_received(post(2, **fields))
        await until(lambda: listener.metrics.packets.labels("accepted")._value.get() == 3)
        connection.data_received(post(3))
        assert socket.paused
        assert len(socket.written) == read
        connection.resume_writing()
        await until(lambda: bytes(socket.written).count(b"HTTP/1.1 202") == 4)
        connection.connection_lost(None)


@pytest.mark.parametrize(
    ("fields", "answered"),
    [({"content-encoding": "gzip"}, b"HTTP/1.1 415 "), ({"expect": "100-continue"}, b"HTTP/1.1 100 Continue")],
)
async def test_what_a_head_asks_for_is_not_passed_over(
    listener: Harness, fields: dict[str, str], answered: bytes
) -> None:
    found = await answers(listener.app, [post(0), b"", post(1, **fields), b"", LAST], direct=True)
    assert found.count(answered) == 1


async def test_p5_there_is_no_other_room_for_the_short_way(listener: Harness) -> None:
    memory = listener.app._buffer_memory
    with memory.holding("another", memory.most):
        assert (await listener.post(packet())).problem["code"] == "busy"
    assert memory.used == 0


async def test_p5_a_connection_beyond_the_limit_has_no_short_way_and_time_counts_from_its_last_byte(
    listener: Harness,
) -> None:
    connection, socket = connected(listener.app, direct=True)
    connection.data_received(post(0))
    await until(lambda: connection.idle_since() is not None)
    connection.moved = 0.0
    connection.data_received(post(1))
    assert connection.moved > 0
    await until(lambda: connection.idle_since() is not None)
    connection.admission = Admission.KEPT
    connection.data_received(post(2))
    await until(lambda: socket.ended)
    assert b"HTTP/1.1 503 " in socket.written
    assert sum(listener.ledger.calls) == 2
    connection.connection_lost(None)


# Packets that came together.


async def test_requests_that_come_together_are_accepted_together_and_answered_one_by_one(listener: Harness) -> None:
    assert (await listener.post(packet(0, payload="a"))).status == 202
    sent = [packet(index, payload=payload) for index, payload in ((0, "a"), (0, "b"), (1, "a"), (2, "a"), (-1, "a"))]
    replies = await together(listener, [json.dumps(one).encode() for one in sent])
    assert [reply.status for reply in replies] == [200, 409, 202, 202, 422]
    assert [reply.json["index"] for reply in replies[:4]] == [0, 0, 1, 2]
    assert sum(listener.ledger.calls) == 5
    assert len(listener.ledger.calls) < 5


async def test_an_error_of_their_call_is_told_to_all_and_counted_for_each(listener: Harness) -> None:
    listener.ledger.errors = dict.fromkeys(range(3), StorageFull())
    replies = await together(listener, [json.dumps(packet(index)).encode() for index in range(3)])
    assert [(reply.status, reply.problem["code"]) for reply in replies] == [(503, "storage_full")] * 3
    assert all("retry-after" in reply.headers for reply in replies)
    assert listener.metrics.refused.labels("storage_full")._value.get() == 3
    assert (await listener.ledger.counts()).waiting == 0
    assert listener.app._load.requests.used == listener.app._buffer_memory.used == 0


async def together(listener: Harness, bodies: Sequence[bytes]) -> list[Reply]:
    """The answers to *bodies*, each sent on a connection of its own before the loop reads any."""
    async with AsyncExitStack() as opened:
        wires = [await opened.enter_async_context(listener.wire()) for _ in bodies]
        for wire, body in zip(wires, bodies, strict=True):
            wire.write(request("POST", "/v1/packets", body))
        return [await wire.reply() for wire in wires]
