"""The client: nothing is lost in silence, whatever the service answers, and nothing waits for a batch to fill."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from collator import client as client_module
from collator.cli.send_run import SendRun, Source
from collator.client import Client, Rejected, Tally, Unreachable, transfer
from collator.client.batch import Item, reject
from collator.client.feed import BYTES_AHEAD, Feed
from collator.errors import CollatorError, ConfigError, Conflict, Malformed, Unknown
from collator.settings import load

Script = Callable[[list[dict[str, Any]]], tuple[int, Any]]


class FakeService:
    """Stands for a service: answers each request with the next step of a script; the last step goes on for ever."""

    def __init__(self, *script: Script) -> None:
        self.script = list(script)
        self.requests: list[list[dict[str, Any]]] = []
        self.raw: list[bytes] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.raw.append(await request.read())
        self.requests.append(json.loads(self.raw[-1]))
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        status, body = step(self.requests[-1])
        return web.Response(status=status, text=json.dumps(body), headers={"Retry-After": "0"})


@asynccontextmanager
async def serving(*script: Script) -> AsyncIterator[FakeService]:
    service = FakeService(*script)
    app = web.Application()
    for path in ("/v1/packets", "/v1/deliveries/replay"):
        app.router.add_post(path, service.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    service.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield service
    finally:
        await runner.cleanup()


def statuses(*words: str, then: str = "accepted", status: int = 202) -> Script:
    """A script step that gives these receipts, and *then* to the packets behind them, in an answer of *status*."""

    def step(packets: list[dict[str, Any]]) -> tuple[int, Any]:
        padded = [*words, *[then] * len(packets)]
        pairs = zip(packets, padded, strict=False)
        return status, {
            "receipts": [{"resource_id": p["resource_id"], "index": p["index"], "status": s} for p, s in pairs]
        }

    return step


def problem(status: int, detail: str) -> Script:
    return lambda _: (status, {"title": "title", "detail": detail, "code": "code"})


def unless(bad: Callable[[dict[str, Any]], bool]) -> Script:
    """A script step that refuses an array whole when it holds a *bad* packet."""

    def step(packets: list[dict[str, Any]]) -> tuple[int, Any]:
        return (
            (422, {"detail": "index: too high", "code": "malformed"}) if any(map(bad, packets)) else statuses()(packets)
        )

    return step


accept = statuses()


def packets(count: int, resource_id: str = "r") -> list[dict[str, Any]]:
    return [{"resource_id": resource_id, "index": index, "payload": "x"} for index in range(count)]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(transfer, "LONGEST_PAUSE", 0.002)


async def test_every_packet_is_sent_once_in_batches() -> None:
    async with serving(accept) as service, Client(service.url, batch=4, in_flight=1) as client:
        tally = await client.send(packets(10))
    assert [len(request) for request in service.requests] == [4, 4, 2]
    assert [p["index"] for request in service.requests for p in request] == list(range(10))
    assert (tally.sent, tally.acknowledged, tally.rejected, tally.trouble) == (10, 10, [], "")
    assert list(tally.resources) == ["r"]


async def test_packets_in_flight_are_bounded_by_requests() -> None:
    async with serving(accept) as service, Client(service.url, batch=3, in_flight=4) as client:
        tally = await client.send(packets(100))
    assert sorted(p["index"] for request in service.requests for p in request) == list(range(100))
    assert tally.acknowledged == 100


async def test_nothing_waits_for_a_batch_to_fill() -> None:
    acknowledged = asyncio.Event()

    async def source() -> AsyncIterator[dict[str, Any]]:
        yield packets(1)[0]
        await asyncio.wait_for(acknowledged.wait(), 5)  # hangs if the first packet waits for a second one
        yield packets(2)[1]

    def first(given: list[dict[str, Any]]) -> tuple[int, Any]:
        acknowledged.set()
        return accept(given)

    async with serving(first) as service, Client(service.url, batch=100) as client:
        await client.send(source())
    assert [len(request) for request in service.requests] == [1, 1]


async def test_json_text_goes_out_as_it_is() -> None:
    line = b'{"resource_id": "r",  "index": 0, "payload": 1.50}'
    async with serving(accept) as service, Client(service.url) as client:
        await client.send([line + b"\r"])
    assert service.raw == [b"[" + line + b"]"]


@pytest.mark.parametrize("payload", [math.nan, [1.5, math.inf], {"a": [None, -math.inf]}, (math.nan,)])
async def test_a_number_that_json_has_no_word_for_is_rejected_and_not_sent_as_null(payload: object) -> None:
    async with serving(accept) as service, Client(service.url) as client:
        with pytest.raises(
            Rejected, match="1 packet rejected, 2 acknowledged: packet 2: not JSON: JSON has no NaN and"
        ):
            await client.send(
                [*packets(1), {**packets(2)[1], "payload": payload}, {**packets(3)[2], "payload": [None, "null"]}]
            )
    assert [sent["payload"] for request in service.requests for sent in request] == ["x", [None, "null"]]


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_what_an_overloaded_service_did_not_take_is_sent_again(status: int) -> None:
    tally = Tally()
    async with (
        serving(problem(status, "busy"), problem(status, "busy"), accept) as service,
        Client(service.url, in_flight=1) as client,
    ):
        await client.send(packets(3), tally=tally)
    assert len(service.requests) == 3
    assert (tally.sent, tally.acknowledged) == (3, 3)


async def test_only_what_was_refused_is_sent_again() -> None:
    steps = [statuses("accepted", "refused", "error", "duplicate"), accept]
    async with serving(*steps) as service, Client(service.url, in_flight=1) as client:
        tally = await client.send(packets(5))
    assert [[p["index"] for p in request] for request in service.requests] == [[0, 1, 2, 3, 4], [1, 2]]
    assert (tally.acknowledged, tally.duplicates) == (5, 1)


@pytest.mark.parametrize("status", [202, 429, 500, 503, 507])
async def test_r9_only_what_was_refused_is_sent_again_whatever_the_status_of_the_answer(status: int) -> None:
    steps = [statuses("accepted", "refused", "conflict", "duplicate", status=status), accept]
    async with serving(*steps) as service, Client(service.url, in_flight=1) as client:
        with pytest.raises(Rejected, match="1 packet rejected, 4 acknowledged"):
            await client.send(packets(5))
    assert [[p["index"] for p in request] for request in service.requests] == [[0, 1, 2, 3, 4], [1]]


async def test_r9_an_array_of_which_no_packet_can_be_taken_is_no_error_of_the_request() -> None:
    async with serving(statuses("conflict", "closed", status=409)) as service, Client(service.url) as client:
        with pytest.raises(Rejected, match="2 packets rejected") as caught:
            await client.send(packets(2))
    assert len(service.requests) == 1
    assert [one.number for one in caught.value.tally.rejected] == [1, 2]


async def test_conflicts_and_late_packets_are_told_at_the_end_and_the_rest_is_sent() -> None:
    steps = [statuses("conflict", "accepted"), statuses("closed"), accept]
    async with serving(*steps) as service, Client(service.url, batch=2, in_flight=1) as client:
        with pytest.raises(Rejected, match="2 packets rejected, 4 acknowledged") as caught:
            await client.send(packets(6))
    assert [rejection.number for rejection in caught.value.tally.rejected] == [1, 3]
    assert "conflict" in caught.value.tally.rejected[0].reason
    assert json.loads(caught.value.tally.rejected[1].line) == packets(3)[2]


async def test_one_bad_packet_costs_no_other() -> None:
    async with serving(unless(lambda p: p["index"] in {3, 70})) as service, Client(service.url) as client:
        with pytest.raises(Rejected, match="index: too high") as caught:
            await client.send(packets(100))
    assert [rejection.number for rejection in caught.value.tally.rejected] == [4, 71]
    assert caught.value.tally.acknowledged == 98


@pytest.mark.parametrize(
    ("detail", "reason"),
    [
        ("packet 0: index: too high", "index: too high"),
        ("Expected `int`, got `str` - at `$[0].index`", "Expected `int`, got `str` - at `$.index`"),
        ("Object missing required field `index` - at `$[0]`", "Object missing required field `index`"),
    ],
)
async def test_a_packet_is_not_told_its_place_in_a_batch(detail: str, reason: str) -> None:
    async with serving(problem(422, detail)) as service, Client(service.url) as client:
        with pytest.raises(Rejected) as caught:
            await client.send(packets(1))
    assert caught.value.tally.rejected[0].reason == reason


@pytest.mark.parametrize("line", [b"{", b'{"a": 1}, {"b": 2}', b"1], [2", b'"\xff"', b"[" * 5000])
async def test_a_line_that_is_no_json_is_rejected_and_reaches_nobody(line: bytes) -> None:
    async with serving(accept) as service, Client(service.url) as client:
        with pytest.raises(Rejected) as caught:
            await client.send([line, json.dumps(packets(1)[0]).encode()])
    assert [(r.number, r.reason[:8]) for r in caught.value.tally.rejected] == [(1, "not JSON")]
    assert service.requests == [packets(1)]


async def test_rejections_are_told_in_the_order_of_the_packets() -> None:
    async with serving(unless(lambda p: p["index"] == 1)) as service, Client(service.url) as client:
        with pytest.raises(Rejected) as caught:
            await client.send([*packets(3), b"no JSON"])  # which is seen before any answer is there
    assert [rejection.number for rejection in caught.value.tally.rejected] == [2, 4]


async def test_a_packet_that_the_store_never_takes_is_rejected_after_some_attempts() -> None:
    async with serving(statuses(then="error")) as service, Client(service.url, in_flight=1) as client:
        with pytest.raises(Rejected, match="error"):
            await client.send(packets(1))
    assert len(service.requests) == 1 + client_module.batch.MAX_ERRORS


async def test_patience_ends_where_nothing_gets_through() -> None:
    tally = Tally()
    async with serving(accept, problem(503, "draining")) as service, Client(service.url, batch=1, patience=0) as client:
        with pytest.raises(Unreachable, match=r"HTTP 503: draining; no packet was accepted"):
            await client.send(packets(5), tally=tally)
    assert tally.acknowledged == 1


@pytest.mark.parametrize("host", ["a..example", "a" * 64 + ".example"])
async def test_a_name_that_no_host_can_have_is_told(host: str) -> None:
    async with Client(f"http://{host}") as client:
        with pytest.raises(Unreachable, match=rf"^http://{host}: invalid host name$"):
            await client.status()


async def test_a_service_that_is_not_there_is_named() -> None:
    async with serving(accept) as service:
        pass
    async with Client(service.url, patience=0) as client:
        with pytest.raises(Unreachable, match=rf"{service.url}: connection refused"):
            await client.send(packets(1))


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (problem(404, "no such path"), "HTTP 404: no such path"),
        (problem(401, "who are you"), "HTTP 401: who are you"),
        (lambda _: (200, {"hello": "world"}), "unexpected answer"),
        (lambda _: (200, {"receipts": []}), "0 receipts for 1 packets"),
    ],
)
async def test_a_service_that_answers_otherwise_ends_it(step: Script, words: str) -> None:
    async with serving(step) as service, Client(service.url) as client:
        with pytest.raises(CollatorError, match=words):
            await client.send(packets(1))


async def test_a_source_that_fails_ends_it_with_its_own_error() -> None:
    def source() -> Iterator[dict[str, Any]]:
        yield from packets(1)
        raise LookupError("source")

    async with serving(accept) as service, Client(service.url) as client:
        with pytest.raises(LookupError, match="source"):
            await client.send(source())


def test_programs_without_an_event_loop_send_too() -> None:
    with pytest.raises(Unreachable):
        client_module.send("http://127.0.0.1:1", packets(1), patience=0)


@asynccontextmanager
async def answering(answer: Callable[[web.Request], web.Response]) -> AsyncIterator[str]:
    """The address of something that gives *answer* to all that it is asked."""

    async def handle(request: web.Request) -> web.Response:
        return answer(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "media_type", "error"),
    [(404, "text/html", CollatorError), (502, "text/html", Unreachable), (400, "application/json", CollatorError)],
)
async def test_an_answer_of_something_else_is_told_without_its_body(
    status: int, media_type: str, error: type[CollatorError]
) -> None:
    def page(_request: web.Request) -> web.Response:
        return web.Response(status=status, text='{"title": "Page"}', content_type=media_type)

    async with answering(page) as url, Client(url + "/foo") as client:
        with pytest.raises(error) as caught:
            await client.status()
    assert (
        caught.value.detail
        == f"{url}/foo: unexpected answer, is this a Collator service? (HTTP {status}, {media_type})"
    )


async def test_a_page_where_an_answer_was_wanted_is_told_without_its_body() -> None:
    async with answering(lambda _: web.Response(text="<p>", content_type="text/html")) as url, Client(url) as client:
        with pytest.raises(CollatorError) as caught:
            await client.status()
    assert caught.value.detail == f"{url}: unexpected answer, is this a Collator service? (HTTP 200, text/html)"


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [(404, "unknown", Unknown), (409, "conflict", Conflict), (503, "busy", Unreachable), (500, "x", Unreachable)],
)
async def test_what_the_service_says_of_a_resource_is_raised(
    status: int, code: str, error: type[CollatorError]
) -> None:
    paths: list[str] = []

    def answer(request: web.Request) -> web.Response:
        paths.append(request.raw_path)
        return web.Response(status=status, text=json.dumps({"detail": "words", "code": code}))

    async with answering(answer) as url, Client(f"{url}/") as client:
        with pytest.raises(error, match="words"):
            await client.resource("a/b ?%2F")
        with pytest.raises(error, match="words"):
            await client.complete("a", total=3)
    assert paths == ["/v1/resources/a%2Fb%20%3F%252F", "/v1/resources/a/complete"]


async def test_a_replay_that_breaks_off_says_how_many_are_due_again() -> None:
    away = {"title": "unavailable", "code": "unavailable", "detail": "the ledger is away"}
    script: list[Script] = [lambda _: (200, {"replayed": 3, "next_cursor": "1."}), lambda _: (503, away)]
    async with serving(*script) as service, Client(service.url) as client:
        with pytest.raises(Unreachable, match="away; 3 webhooks made due again before that; repeat it to go on"):
            await client.replay_all(state="dead")
        assert [asked["cursor"] for asked in service.requests] == ["", "1."]  # type: ignore[call-overload]
        with pytest.raises(Unreachable) as caught:
            await client.replay_all(state="dead")
    assert "before that" not in str(caught.value)


async def test_the_cells_of_a_notebook_share_a_client() -> None:
    """Each cell is a task of its own on one loop."""
    client = Client("http://127.0.0.1:1/", token="secret", patience=0.0)
    assert repr(client) == "<Client http://127.0.0.1:1/ closed>"
    opened = [await asyncio.create_task(client.open()) for _ in range(2)]
    assert opened == [client, client]
    assert repr(client).endswith(" open>")
    with pytest.raises(Unreachable, match="connection refused"):
        await asyncio.create_task(client.status())
    for _ in range(2):
        await asyncio.create_task(client.close())
    with pytest.raises(CollatorError, match="is not open"):
        await client.status()


def test_a_tally_of_many_resources_is_short_to_look_at() -> None:
    tally = Tally(acknowledged=2, resources=dict.fromkeys(map(str, range(1000))))
    assert len(repr(tally)) < 200


async def test_a_client_outside_of_its_context_says_so() -> None:
    client = Client("http://127.0.0.1:1")
    with pytest.raises(CollatorError, match="Client is not open: use it within `async with`"):
        await client.status()
    async with client:
        pass
    with pytest.raises(CollatorError, match="use it within"):
        await client.send(packets(1))


@pytest.mark.parametrize("url", ["127.0.0.1:1", "localhost", "ftp://a", "", "http://"])
def test_what_is_no_address_is_told_at_once(url: str) -> None:
    with pytest.raises(ConfigError, match="is not a URL; write http://HOST:PORT/PATH"):
        Client(url)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("batch", value) for value in (0, -1, "5", 1.5, True)),
        *(("in_flight", value) for value in (0, -1, "2", None)),
        *(("patience", value) for value in ("5s", -1, math.nan, True)),
        *(("timeout", value) for value in (0, "5", None, math.inf)),
        ("token", "two\nlines"),
        ("token", 5),
    ],
)
def test_an_option_that_cannot_be_used_is_told_at_once(option: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"^{option}: "):
        Client("http://127.0.0.1:1", **{option: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("single", [{"resource_id": "r", "index": 0, "payload": 1}, "text", b"{}"])
async def test_a_single_packet_is_not_taken_for_many(single: Any) -> None:  # noqa: ANN401 - what is wrong on purpose
    async with Client("http://127.0.0.1:1") as client:
        with pytest.raises(Malformed, match="put a single packet into a list"):
            await client.send(single)


@pytest.mark.parametrize("resource_id", ["", "a\ud800", "a\n", "x" * 256])
async def test_an_id_that_no_resource_can_have_is_told_at_once(resource_id: str) -> None:
    async with Client("http://127.0.0.1:1") as client:
        with pytest.raises(Malformed, match=r"^resource_id: "):
            await client.resource(resource_id)


async def test_text_that_utf8_cannot_hold_is_told_at_once() -> None:
    async with Client("http://127.0.0.1:1") as client:
        with pytest.raises(Malformed, match=r"^prefix: not valid Unicode text"):
            await client.resources(prefix="\ud800")
        with pytest.raises(Malformed, match=r"^delivery_id: not valid Unicode text"):
            await client.delivery("\ud800")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://me:hunter2@a", "it contains a user name or a password; authenticate with a token instead"),
        ("http://hunter2@a/b", "it contains a user name"),
        ("http://a/?hunter2", "it has a query or a fragment"),
        ("http://a/b#hunter2", "it has a query or a fragment"),
    ],
)
def test_an_address_that_says_more_than_where_is_refused_and_not_shown(url: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        Client(url)
    assert "hunter2" not in caught.value.detail


def test_a_service_may_be_below_a_path() -> None:
    assert Client("https://a.example/collator/@me").url == "https://a.example/collator/@me"


async def test_large_packets_are_read_ahead_by_their_bytes() -> None:
    """The source is no further ahead than some MiB, though two batches may be."""
    given, most = 0, 0
    payload = "x" * 500_000

    async def source() -> AsyncIterator[dict[str, Any]]:
        nonlocal given
        for packet in packets(60):
            given += 1
            yield {**packet, "payload": payload}

    feed = Feed(source(), Tally(), batch=100, takers=1)
    filling = asyncio.create_task(feed.fill())
    taken = 0
    while items := await feed.take():
        taken += len(items)
        most = max(most, given - taken)
    await filling
    assert taken == 60
    assert most * len(payload) <= BYTES_AHEAD + 2 * len(payload)


def test_p5_what_was_rejected_is_kept_with_its_text_only_for_who_wants_it() -> None:
    items = [Item(number, b"1" * 1000) for number in (1, 2)]
    mends, looks = Tally(), Tally(keep_lines=False)
    for tally in (mends, looks):
        reject(items, "no", tally)
    assert [len(one.line) for one in mends.rejected] == [1000, 1000]
    assert [(one.number, one.line, one.sent) for one in looks.rejected] == [(1, b"", True), (2, b"", True)]
    assert not SendRun(load(), Source("", []), in_flight=1, patience=None, wait=False).tally.keep_lines


async def test_a_client_that_is_closed_while_it_sends_says_so() -> None:
    async with serving(statuses()) as service, AsyncExitStack() as stack:
        client = await stack.enter_async_context(Client(service.url))

        async def packets() -> AsyncIterator[dict[str, Any]]:
            yield {"resource_id": "r", "index": 0, "payload": 0}
            await stack.aclose()
            yield {"resource_id": "r", "index": 1, "payload": 0}

        with pytest.raises(CollatorError, match="was closed during the request"):
            await client.send(packets())
