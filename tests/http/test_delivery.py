"""The delivery stage on real sockets and a real ledger: what a receiver does, and what becomes of the delivery."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import AsyncGenerator
from functools import partial

import anyio
import msgspec
import pytest
import standardwebhooks
from structlog.testing import capture_logs

import collator
from collator.backoff import SCHEDULE
from collator.delivery import Circuits
from collator.delivery.dispatcher import LARGE
from collator.delivery.endpoint_worker import PROMPT, UNSETTLED
from collator.delivery.sender import MAX_WAIT
from collator.errors import Damaged, Unavailable
from collator.messages import LARGE_BODY, Delivery, DeliveryFilter
from collator.rules.resource import LedgerLimits
from collator.signing import generate_secret
from collator.states import DeliveryState
from tests.http.stage import Stage
from tests.receiver import Close, Flood, Hold, Judge, Receiver, Request, Reset, Say, Script, Stall, reply
from tests.wait import until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("each_ledger_if_asked")]

NEVER = 3600.0
"""A poll that no test lives to see."""
LONG = 10.0
SHORT = 0.25
"""Seconds after which an attempt gives up that is meant to."""
HEAD = b"HTTP/1.1 200 OK\r\n"
BIG = (json.dumps("x" * 900_000).encode(),) * 2
"""Outputs that make a large body."""


async def test_r21_a_webhook_is_what_standard_webhooks_has_to_the_letter(stage: Stage) -> None:
    async with Receiver() as receiver:
        secret = stage.endpoint(receiver.url)
        async with stage.dispatcher() as dispatcher:
            (delivery,) = await stage.finish("call-17", dispatcher=dispatcher, outputs=[b"[3,5]", b'{"a": 1}'])
            await stage.settled(1)
    (request,) = receiver.requests
    assert request.line == "POST /hook HTTP/1.1"
    assert {*request.headers} == {*["host", "content-type", "content-length", "user-agent"]} | {
        *["webhook-id", "webhook-timestamp", "webhook-signature"]
    }  # and no accept-encoding: an answer in gzip could not be told to anybody
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"] == f"collator/{collator.__version__}"
    assert request.headers["webhook-id"] == delivery.webhook_id
    assert request.headers["webhook-timestamp"] == str(int(stage.clock.wall()))
    body = standardwebhooks.Webhook(secret).verify(request.body, dict(request.headers))
    assert body["data"]["outputs"] == [[3, 5], {"a": 1}]
    report = await stage.report()
    assert (report.state, report.attempts, report.reason) == (DeliveryState.DELIVERED, 1, "HTTP 200")


async def test_p4_every_attempt_has_the_same_id_and_bytes_and_a_timestamp_of_its_own(stage: Stage) -> None:
    async with Receiver((*reply(500), Close()), (Close(),), reply(200)) as receiver:
        secret = stage.endpoint(receiver.url)
        async with stage.dispatcher() as dispatcher:
            await stage.finish("r", dispatcher=dispatcher)
            for attempts in (1, 2):
                await stage.settled(attempts)
                stage.clock.advance((await stage.report()).due_in or 0.0)
            await stage.settled(3)
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1
    assert len({request.body for request in receiver.requests}) == 1
    assert len({request.headers["webhook-timestamp"] for request in receiver.requests}) == 3
    for request in receiver.requests:
        standardwebhooks.Webhook(secret).verify(request.body, dict(request.headers))
    report = await stage.report()
    assert (report.state, report.attempts) == (DeliveryState.DELIVERED, 3)


BOMB = gzip.compress(bytes(32 * 1024 * 1024))
RETRIED: dict[str, tuple[Script, str, float]] = {
    "500": (reply(500), "HTTP 500", 1.0),
    "404": (reply(404), "HTTP 404", 1.0),
    "301": (reply(301), "HTTP 301", 1.0),
    "no answer": ((Stall(),), "timed out after 0.25 s", 1.0),
    "slow headers": ((Say(b"HTTP/1.1 200 OK\r\nx"), Stall()), "timed out after 0.25 s", 1.0),
    "slow body": (
        (Say(HEAD + b"content-length: 9\r\n\r\n"), Stall()),
        "HTTP 200, but the body of the answer did not end within 0.25 s",
        1.0,
    ),
    "reset": ((Reset(),), "connection reset by peer", 1.0),
    "closed": ((Close(),), "connection closed before the answer", 1.0),
    "not HTTP": ((Say(b"hello\r\n\r\n"), Stall()), "the answer is not HTTP", 1.0),
    "endless headers": (
        (Say(HEAD), Flood(b"x: y\r\n" * 1000)),
        "the headers of the answer are larger than 64 KiB",
        1.0,
    ),
}
DELIVERED: dict[str, Script] = {
    "200": reply(200),
    "204": reply(204, body=b""),
    "gzip bomb": reply(200, "content-encoding: gzip", body=BOMB),
    "1 GB": (Say(HEAD + b"content-length: 1000000000\r\n\r\n"), Flood(b"x" * 65536)),
    "endless": (Say(HEAD + b"\r\n"), Flood(b"x" * 65536)),
    "less than announced": (Say(HEAD + b"content-length: 9\r\n\r\nhalf"), Close()),
    "more than announced": (Say(HEAD + b"content-length: 2\r\n\r\nokHTTP/1.1 500 No\r\n\r\n"),),
}


@pytest.mark.parametrize(("script", "reason", "due_in"), RETRIED.values(), ids=RETRIED.keys())
async def test_r22_a_failed_attempt_is_stored_with_its_reason_and_tried_again(
    stage: Stage, script: Script, reason: str, due_in: float
) -> None:
    async with Receiver(script, reply(200)) as receiver:
        stage.endpoint(receiver.url, timeout=SHORT)
        async with stage.dispatcher() as dispatcher:
            await stage.finish("r", dispatcher=dispatcher)
            await stage.settled(1)
            report = await stage.report()
            assert (report.state, report.attempts, report.reason) == (DeliveryState.DUE, 1, reason)
            assert report.due_in == pytest.approx(due_in)
            stage.clock.advance(due_in)
            await stage.settled(2)
        assert (await stage.report()).state is DeliveryState.DELIVERED


async def test_r21_what_the_receiver_answered_is_kept_without_what_it_must_not_repeat(stage: Stage) -> None:
    text = b"no such account\n" * 100 + b" token: 0123456789 " + "€".encode() * 999
    plain = reply(422, "content-type: text/plain", body=text)
    gone = reply(410, "content-type: image/png", body=b"\x89PNG\r\n")
    async with Receiver(plain, gone) as receiver:
        stage.endpoint(f"{receiver.url}?token=0123456789", timeout=LONG)
        async with stage.dispatcher() as dispatcher:
            await stage.finish("r", dispatcher=dispatcher)
            await stage.settled(1)
            name = (await stage.report()).id
            first = (await stage.ledger.delivery(name)).answer
            stage.clock.advance(1.0)
            await stage.settled(2)
    assert (first.status, first.media_type, first.size) == (422, "text/plain", len(text))
    assert first.text == (text.replace(b"0123456789", b"***"))[:2048].decode(errors="ignore")
    last = (await stage.ledger.delivery(name)).answer  # though it used up no attempt
    assert (last.status, last.media_type, last.size, last.text) == (410, "image/png", 6, "")


WAITS: dict[str, tuple[Script, float]] = {
    "429 with a time": (reply(429, "retry-after: 120"), 120.0),
    "429 without one": (reply(429), 1.0),
    "503 with a date long past": (reply(503, "retry-after: Sun, 06 Nov 1994 08:49:37 GMT"), 1.0),
    "503 with a week": (reply(503, "retry-after: 604800"), 86_400.0),
}


@pytest.mark.parametrize(("script", "wait"), WAITS.values(), ids=WAITS.keys())
async def test_r23_a_receiver_that_asks_to_wait_is_left_alone_so_long_and_no_attempt_is_used_up(
    stage: Stage, script: Script, wait: float
) -> None:
    async with Receiver(script, reply(200)) as receiver:
        stage.endpoint(receiver.url)
        async with stage.dispatcher() as dispatcher:
            with capture_logs() as logs:
                await stage.finish("r", dispatcher=dispatcher)
                await stage.settled(1)
            report = await stage.report()
            assert (report.state, report.attempts) == (DeliveryState.DUE, 0)
            assert report.due_in == pytest.approx(wait)
            assert [line["event"] for line in logs] == ["deliveries postponed"]
            assert dispatcher.capacity() == {"default": 0}
            assert "as requested by its receiver (HTTP " in (dispatcher.why("default") or "")
            await until(lambda: f'collator_endpoint_wait_seconds{{endpoint="default"}} {wait}' in text(stage))
            await stage.finish("new", dispatcher=dispatcher)  # which waits like the other
            stage.clock.advance(wait - 0.5)
            polls = stage.ledger.calls.count("due_endpoints")
            await until(lambda: stage.ledger.calls.count("due_endpoints") > polls + 3)
            assert len(receiver.requests) == 1
            stage.clock.advance(0.5)
            await stage.settled(3)
        assert len(receiver.requests) == 3
    assert {(one.state, one.attempts) for one in await stage.reports()} == {(DeliveryState.DELIVERED, 1)}


def text(stage: Stage) -> str:
    return stage.metrics.text().decode()


@pytest.mark.parametrize("script", DELIVERED.values(), ids=DELIVERED.keys())
async def test_r22_a_2xx_delivers_whatever_comes_behind_it(stage: Stage, script: Script) -> None:
    async with Receiver(script) as receiver:
        stage.endpoint(receiver.url)
        async with stage.dispatcher() as dispatcher:
            await stage.finish("r", dispatcher=dispatcher)
            await stage.settled(1)
        report = await stage.report()
        assert (report.state, report.attempts) == (DeliveryState.DELIVERED, 1)


@pytest.mark.parametrize(
    ("host", "reason"), [("127.0.0.1", "connection refused"), ("nobody.invalid", "host name not resolved")]
)
async def test_a_receiver_that_cannot_be_reached_gets_it_later(stage: Stage, host: str, reason: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    stage.endpoint(f"http://{host}:{port}/")
    async with stage.dispatcher() as dispatcher:
        await stage.finish("r", dispatcher=dispatcher)
        await stage.settled(1)
    report = await stage.report()
    assert (report.state, report.reason) == (DeliveryState.DUE, reason)
    assert report.due_in == pytest.approx(1.0)


async def test_r23_410_pauses_the_endpoint_until_a_person_resumes_it_and_what_is_due_is_kept(stage: Stage) -> None:
    async def stored() -> bool:  # what is resumed before its pause is stored is paused after
        return "default" in await stage.ledger.paused()

    async with Receiver(reply(410, "content-type: text/plain", body=b"moved away")) as receiver, Receiver() as other:
        stage.endpoint(receiver.url, concurrency=4)
        stage.endpoint(other.url, name="other")
        async with stage.dispatcher(poll=0.001) as dispatcher:
            with capture_logs() as logs:
                await stage.finish(*map(str, range(300)), dispatcher=dispatcher)
                await until(lambda: 'collator_endpoint_paused{endpoint="default"} 1.0' in text(stage))
                await until(lambda: len(other.requests) == 300)
                stage.clock.advance(86_400.0)
                await stage.polled(10)
            assert len(receiver.requests) <= 8  # those that were under way, and what was claimed before it was stored
            assert [line["event"] for line in logs if line["log_level"] == "error"] == [
                "endpoint paused by its receiver"
            ]
            assert "until it is resumed (HTTP 410" in (dispatcher.why("default") or "")
            assert dispatcher.capacity()["default"] == 0
            due = await stage.reports(endpoint="default", state=DeliveryState.DUE)
            assert (len(due), {one.attempts for one in due}) == (100, {0})  # a page of 300
            asked = len(receiver.requests)
            await until(stored)
            receiver.scripts = (reply(410),)
            await stage.ledger.resume("default")
            await dispatcher.refresh()
            await until(lambda: len(receiver.requests) == asked + 1)  # gently: one is asked, and it is paused again
            await until(stored)
            await stage.polled(10)
            assert len(receiver.requests) == asked + 1
            receiver.scripts = (reply(200),)
            await stage.ledger.resume("default")
            await until(lambda: len(receiver.requests) == asked + 1 + 300)
            await stage.settled(300 + asked + 1 + 300)
    assert {one.state for one in await stage.reports()} == {DeliveryState.DELIVERED}


async def test_r24_a_replay_sends_the_same_again(stage: Stage) -> None:
    async with Receiver() as receiver:
        stage.endpoint(receiver.url)
        async with stage.dispatcher(poll=NEVER) as dispatcher:
            await stage.finish("r", dispatcher=dispatcher)
            await stage.settled(1)
            dispatcher.take((), (await stage.ledger.replay(DeliveryFilter(resource_id="r"))).endpoints)
            await stage.settled(2)
        first, second = receiver.requests
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
    report = await stage.report()
    assert (report.state, report.attempts) == (DeliveryState.DELIVERED, 2)


async def test_r23_the_whole_schedule_passes_and_then_the_delivery_is_dead(stage: Stage) -> None:
    async with Receiver(reply(500)) as receiver:
        stage.endpoint(receiver.url)
        async with stage.dispatcher(poll=0.005, circuits=Circuits(failures=100)) as dispatcher:
            await stage.finish("r", dispatcher=dispatcher)
            for number, delay in enumerate(SCHEDULE[1:], 1):
                await stage.settled(number)
                assert (await stage.report()).due_in == pytest.approx(delay)
                stage.clock.advance(delay)
            await stage.settled(len(SCHEDULE))
        assert len(receiver.requests) == len(SCHEDULE)
    report = await stage.report()
    assert (report.state, report.attempts, report.due_in) == (DeliveryState.DEAD, len(SCHEDULE), None)
    assert report.reason == "HTTP 500; no attempts are left"


async def test_r23_a_retry_is_not_sent_before_its_time(stage: Stage) -> None:
    async with Receiver(reply(500), reply(200)) as receiver:
        stage.endpoint(receiver.url)
        async with stage.dispatcher(poll=0.001) as dispatcher:
            await stage.finish("r", dispatcher=dispatcher)
            await stage.settled(1)
            stage.clock.advance(0.99)
            polls = stage.ledger.calls.count("due_endpoints")
            await until(lambda: stage.ledger.calls.count("due_endpoints") > polls + 5)
            assert len(receiver.requests) == 1
            stage.clock.advance(0.01)
            await stage.settled(2)


async def test_a_ledger_that_cannot_say_what_is_due_is_told_of_once_and_asked_for_all(stage: Stage) -> None:
    async with Receiver() as receiver:
        stage.endpoint(receiver.url)
        stage.ledger.trouble = {"due_endpoints": [Unavailable() for _ in range(5)]}
        await stage.finish("r")
        with capture_logs() as logs:
            async with stage.dispatcher(poll=0.001):
                await stage.settled(1)
                await until(lambda: stage.ledger.calls.count("due_endpoints") > 7)
    assert [line["log_level"] for line in logs if "cannot look up" in line["event"]] == ["warning"]


async def test_what_was_due_before_the_start_is_sent_at_the_start(stage: Stage) -> None:
    async with Receiver() as receiver:
        stage.endpoint(receiver.url, concurrency=4)
        await stage.finish(*map(str, range(10)))
        async with stage.dispatcher(poll=NEVER):
            await stage.settled(10)
        assert len(receiver.requests) == 10


async def test_r23_an_endpoint_has_no_more_requests_under_way_than_it_may_have(stage: Stage) -> None:
    host_check = anyio.Event()
    async with Receiver((Hold(host_check), *reply(200))) as receiver:
        stage.endpoint(receiver.url, concurrency=3)
        async with stage.dispatcher(poll=NEVER) as dispatcher:
            assert dispatcher.capacity() == {"default": 3}
            leased = await stage.finish(*map(str, range(10)), dispatcher=dispatcher)
            assert len(leased) == 3
            assert dispatcher.capacity() == {"default": 0}
            await until(lambda: len(receiver.requests) == 3)
            assert dispatcher.under_way() == {"default": 3}
            host_check.set()
            await stage.settled(10)  # those that were not leased are claimed as places become free
        assert len(receiver.requests) == 10
        assert receiver.connections == 3


async def test_a_receiver_that_answers_at_once_is_handed_more_as_resources_end(stage: Stage) -> None:
    first, last = anyio.Event(), anyio.Event()
    scripts = [reply(200), *[(Hold(first), *reply(200))] * 6, (Hold(last), *reply(200))]
    async with Receiver(*scripts) as receiver:
        stage.endpoint(receiver.url, concurrency=3)
        async with stage.dispatcher(poll=NEVER) as dispatcher:
            await until(lambda: "due_endpoints" in stage.ledger.answered)
            await stage.finish("0", dispatcher=dispatcher)
            await stage.settled(1)
            assert dispatcher.capacity() == {"default": 6}
            leased = await stage.finish(*"123456", dispatcher=dispatcher)
            assert (len(leased), dispatcher.capacity()) == (6, {"default": 0})
            await until(lambda: len(receiver.requests) == 1 + 3)  # no more than its concurrency are under way
            first.set()
            await stage.settled(7)
            await stage.finish("7", dispatcher=dispatcher)
            await until(lambda: len(receiver.requests) == 8)
            stage.clock.advance(PROMPT)
            last.set()
            await stage.settled(8)
            assert dispatcher.capacity() == {"default": 3}
        assert receiver.connections == 3


async def test_r23_an_endpoint_that_hangs_holds_up_no_other(stage: Stage) -> None:
    async with Receiver((Stall(),)) as dead, Receiver() as healthy:
        stage.endpoint(dead.url, name="dead", concurrency=2)
        stage.endpoint(healthy.url, name="healthy", concurrency=2)
        async with stage.dispatcher(poll=NEVER) as dispatcher:
            for number in range(20):
                await stage.finish(str(number), dispatcher=dispatcher)
            await until(lambda: len(healthy.requests) == 20)
            assert len(dead.requests) == 2
            assert dispatcher.capacity()["dead"] == 0
    assert len(await stage.reports(endpoint="dead", state=DeliveryState.DUE)) == 20


async def test_more_than_there_was_room_for_waits_here(stage: Stage) -> None:
    host_check = anyio.Event()
    async with Receiver((Hold(host_check), *reply(200))) as receiver:
        stage.endpoint(receiver.url, concurrency=2)
        await stage.finish(*map(str, range(6)))
        leased = await stage.ledger.claim_deliveries("default", capacity=6)
        async with stage.dispatcher(poll=NEVER) as dispatcher:
            dispatcher.take(leased, ())
            await until(lambda: len(receiver.requests) == 2)
            assert dispatcher.capacity() == {"default": 0}
            host_check.set()
            await stage.settled(6)
        assert len(receiver.requests) == 6
        assert receiver.connections == 2


async def test_r24_what_waited_too_long_is_given_back_unsent_and_is_sent_under_a_new_lease(stage: Stage) -> None:
    host_check = anyio.Event()
    async with Receiver((Hold(host_check), *reply(200))) as receiver:
        stage.endpoint(receiver.url, concurrency=1)
        await stage.finish("a", "b")
        leased = await stage.ledger.claim_deliveries("default", capacity=2)
        async with stage.dispatcher() as dispatcher:
            dispatcher.take(leased, ())
            await until(lambda: receiver.requests)
            stage.clock.advance(MAX_WAIT + 0.1)
            host_check.set()
            await stage.settled(3)
        assert len(receiver.requests) == 2
    assert [(report.state, report.attempts) for report in await stage.reports()] == [(DeliveryState.DELIVERED, 1)] * 2


async def test_the_body_of_what_waited_too_long_is_not_fetched(stage: Stage) -> None:
    host_check = anyio.Event()
    async with Receiver((Hold(host_check), *reply(200))) as receiver:
        stage.endpoint(receiver.url)
        await stage.finish(*map(str, range(LARGE + 3)), outputs=BIG)
        leased = await stage.ledger.claim_deliveries("default", capacity=LARGE + 3, large=True)
        stage.ledger.trouble["claim_deliveries"] = [Unavailable("not now")] * 10  # what is given back stays due
        async with stage.dispatcher(poll=NEVER) as dispatcher:
            dispatcher.take(leased, ())
            await until(lambda: len(receiver.requests) == LARGE)
            stage.clock.advance(MAX_WAIT + 0.1)
            host_check.set()
            await stage.settled(LARGE + 3)
            assert stage.ledger.calls.count("pieces") == 2 * LARGE  # once to sign, once to send


async def test_r24_what_waited_too_long_for_its_body_is_given_back_unsent(stage: Stage) -> None:
    read, waits = stage.ledger.pieces, [MAX_WAIT + 0.1]

    async def slow(delivery: Delivery) -> AsyncGenerator[bytes, None]:
        stage.clock.advance(waits.pop() if waits else 0.0)
        async for piece in read(delivery):
            yield piece

    stage.ledger.pieces = slow
    outputs = [json.dumps("x" * 900_000).encode()] * 2
    async with Receiver(reply(200)) as receiver:
        stage.endpoint(receiver.url)
        await stage.finish("r", outputs=outputs)
        async with stage.dispatcher():
            await stage.settled(2)
        assert len(receiver.requests) == 1
    report = await stage.report()
    assert (report.state, report.attempts) == (DeliveryState.DELIVERED, 1)


async def test_p5_small_bodies_never_wait_behind_large_ones(stage: Stage) -> None:
    host_check, arrived = anyio.Event(), list[int]()

    def judge(request: Request) -> Script:
        arrived.append(len(request.body))
        return (Hold(host_check), *reply(200)) if len(request.body) > LARGE_BODY else reply(200)

    async with Receiver((Judge(judge),)) as receiver:
        stage.endpoint(receiver.url, concurrency=3)
        await stage.finish(*(f"large-{number}" for number in range(8)), outputs=BIG)
        async with stage.dispatcher(poll=0.02) as dispatcher:
            await until(lambda: len(arrived) == LARGE)
            for number in range(30):
                await stage.finish(f"small-{number}", dispatcher=dispatcher)
            await until(lambda: len(arrived) == LARGE + 30)
            await stage.settled(30)
            assert len(await stage.reports(prefix="small", state=DeliveryState.DELIVERED)) == 30
            host_check.set()
            await stage.settled(38)
    assert len(receiver.requests) == 38


async def test_p5_what_is_fresh_does_not_wait_behind_a_backlog(stage: Stage) -> None:
    old, fresh, behind = 1_000, 20, list[int]()

    def arrived(name: str) -> list[int]:
        return [at for at, request in enumerate(receiver.requests) if f'"{name}"'.encode() in request.body]

    async with Receiver() as receiver:
        stage.endpoint(receiver.url, concurrency=4)
        await stage.finish(*(f"old-{number}" for number in range(old)))
        stage.clock.advance(1.0)
        async with stage.dispatcher(poll=0.02) as dispatcher:
            for number in range(fresh):
                await until(lambda: len(receiver.requests) > 8 * len(behind))
                before, name = len(receiver.requests), f"fresh-{number}"
                await stage.finish(name, dispatcher=dispatcher)
                await until(partial(arrived, name))
                behind.append(arrived(name)[0] - before)
        assert len(receiver.requests) < old, "the backlog was over before what is fresh"
    assert max(behind) <= 24, behind  # what was under way and claimed before it, and as many old ones again


async def test_p5_receivers_that_hang_over_large_bodies_delay_those_of_nobody_else(stage: Stage) -> None:
    async with Receiver((Stall(),)) as hangs, Receiver() as takes:
        for number in range(8):
            stage.endpoint(hangs.url, name=f"e{number}")
        async with stage.dispatcher(poll=0.02):
            await stage.finish("a", "b", "c", outputs=BIG)
            await until(lambda: len(hangs.requests) == 8 * LARGE)
            stage.endpoint(takes.url)
            await stage.finish("d", "e", "f", outputs=BIG)
            await until(lambda: len(takes.requests) == 3)
            assert len(hangs.requests) == 8 * LARGE


async def test_outcomes_are_gathered_while_the_ledger_stores_others(stage: Stage) -> None:
    host_check = anyio.Event()
    async with Receiver((Hold(host_check), *reply(200))) as receiver:
        stage.endpoint(receiver.url)
        async with stage.dispatcher(poll=NEVER) as dispatcher:
            await stage.finish(*map(str, range(50)), dispatcher=dispatcher)
            await until(lambda: len(receiver.requests) == 50)
            host_check.set()
            await stage.settled(50)
        assert len(receiver.requests) == 50
    assert len(stage.ledger.settled) < 25


async def test_p4_outcomes_are_kept_while_the_ledger_cannot_store_them(stage: Stage) -> None:
    async with Receiver() as receiver:
        stage.endpoint(receiver.url)
        async with stage.dispatcher() as dispatcher:
            stage.ledger.trouble["record_attempts"] = [Unavailable("full"), Unavailable("full"), Unavailable("full")]
            with capture_logs() as logs:
                await stage.finish(*map(str, range(20)), dispatcher=dispatcher)
                await stage.settled(20)
            assert [line["event"] for line in logs] == ["delivery attempts not recorded yet; kept in memory"]
        assert len(receiver.requests) == 20
    assert len(await stage.reports(state=DeliveryState.DELIVERED)) == 20


async def test_p4_what_is_known_to_be_delivered_is_not_sent_again_before_it_is_stored(stage: Stage) -> None:
    async with Receiver() as receiver:
        stage.endpoint(receiver.url)
        async with stage.dispatcher() as dispatcher:
            stage.ledger.trouble["record_attempts"] = [Unavailable("the disk is full")] * 1000
            await stage.finish("r", dispatcher=dispatcher)
            await until(lambda: "record_attempts" in stage.ledger.calls)
            stage.clock.advance(LedgerLimits().delivery_lease + 1.0)
            claims = stage.ledger.calls.count("claim_deliveries")
            await until(lambda: stage.ledger.calls.count("claim_deliveries") >= claims + 2)
            stage.ledger.trouble["record_attempts"] = []
            await stage.settled(1)
        assert len(receiver.requests) == 1
    assert (await stage.report()).state is DeliveryState.DELIVERED


async def test_p5_while_outcomes_cannot_be_stored_no_more_is_taken_than_a_bound(stage: Stage) -> None:
    async with Receiver() as receiver:
        stage.endpoint(receiver.url, concurrency=2)
        await stage.finish(*map(str, range(40)))
        async with stage.dispatcher(poll=0.001) as dispatcher:
            stage.ledger.trouble["record_attempts"] = [Unavailable("full")] * 3  # 0.35 s of pauses
            await until(lambda: dispatcher.capacity() == {"default": 0} and not stage.ledger.trouble["record_attempts"])
            assert len(receiver.requests) <= 2 * (UNSETTLED + 1)
            await stage.settled(40)


async def test_p4_a_defect_in_settling_costs_an_attempt_and_not_the_delivery(stage: Stage) -> None:
    async with Receiver() as receiver:
        stage.endpoint(receiver.url)
        async with stage.dispatcher() as dispatcher:
            stage.ledger.trouble["record_attempts"] = [RuntimeError("a defect")]
            with capture_logs() as logs:
                await stage.finish("r", dispatcher=dispatcher)
                await until(lambda: logs)
            assert logs[0]["event"] == "delivery attempts not recorded; they will be repeated"
            stage.clock.advance(LedgerLimits().delivery_lease + 1)
            await stage.settled(1)
        assert len(receiver.requests) == 2
    assert (await stage.report()).state is DeliveryState.DELIVERED


async def test_claims_that_fail_are_told_once_and_tried_again(stage: Stage) -> None:
    async with Receiver() as receiver:
        stage.endpoint(receiver.url)
        await stage.finish("r")
        stage.ledger.trouble["claim_deliveries"] = [*[Unavailable("full")] * 3, RuntimeError("a defect")]
        with capture_logs() as logs:
            async with stage.dispatcher():
                await stage.settled(1)
        assert [line["log_level"] for line in logs] == ["warning", "warning", "error"]  # once for each worker
        assert len(receiver.requests) == 1


async def test_what_was_handed_out_in_an_answer_that_is_lost_is_sent_at_once(stage: Stage) -> None:
    async with Receiver() as receiver:
        stage.endpoint(receiver.url)
        await stage.finish("r")
        stage.ledger.lost["claim_deliveries"] = 2  # one for each worker
        async with stage.dispatcher():
            await stage.settled(1)
        assert len(receiver.requests) == 1


async def test_a_large_body_is_fetched_and_arrives_whole(stage: Stage) -> None:
    outputs = [json.dumps("x" * 900_000).encode()] * 5
    async with Receiver() as receiver:
        secret = stage.endpoint(receiver.url)
        async with stage.dispatcher(poll=NEVER) as dispatcher:
            for number in range(3):
                assert not await stage.finish(str(number), dispatcher=dispatcher, outputs=outputs)
            await stage.settled(3)
    for request in receiver.requests:
        body = standardwebhooks.Webhook(secret).verify(request.body, dict(request.headers))
        assert body["data"]["outputs"] == ["x" * 900_000] * 5


@pytest.mark.parametrize(
    ("trouble", "state", "counted"),
    [
        (Damaged("the output of index 0 does not match its checksum"), DeliveryState.DEAD, 1),
        (Unavailable("the disk is full"), DeliveryState.DUE, 0),
        (RuntimeError("a defect"), DeliveryState.DUE, 0),
    ],
)
async def test_a_body_that_cannot_be_had_is_never_sent(
    stage: Stage, trouble: Exception, state: DeliveryState, counted: int
) -> None:
    async with Receiver() as receiver:
        stage.endpoint(receiver.url)
        await stage.finish("r")
        (delivery,) = await stage.ledger.claim_deliveries("default", capacity=1)
        async with stage.dispatcher() as dispatcher:
            stage.ledger.trouble["pieces"] = [trouble]
            with capture_logs():
                dispatcher.take([msgspec.structs.replace(delivery, body=None)], ())
                await stage.settled(1)
        assert not receiver.requests
    report = await stage.report()
    assert (report.state, report.attempts) == (state, counted)
    if isinstance(trouble, Damaged):
        assert report.reason == trouble.detail


async def test_r20_the_url_is_looked_up_at_each_attempt(stage: Stage) -> None:
    async with Receiver(reply(404)) as wrong, Receiver() as right:
        stage.endpoint(wrong.url)
        async with stage.dispatcher() as dispatcher:
            await stage.finish("r", dispatcher=dispatcher)
            await stage.settled(1)
            stage.endpoint(right.url)
            stage.clock.advance(1.0)
            await stage.settled(2)
        assert (len(wrong.requests), len(right.requests)) == (1, 1)


async def test_r21_attempts_are_signed_with_what_the_secret_file_says_since_a_moment(stage: Stage) -> None:
    async with Receiver(reply(500), reply(200)) as receiver:
        old = stage.endpoint(receiver.url)
        async with stage.dispatcher() as dispatcher:
            await stage.finish("r", dispatcher=dispatcher)
            await stage.settled(1)
            new = generate_secret()
            (stage.folder / "default.secret").write_text(f"{new}\n{old}\n")
            await until(lambda: len(stage.endpoints["default"].signs_with()) > 1)
            stage.clock.advance(1.0)
            await stage.settled(2)
    assert len(receiver.requests[1].headers["webhook-signature"].split(" ")) == 2
    for secret in (old, new):
        standardwebhooks.Webhook(secret).verify(receiver.requests[1].body, dict(receiver.requests[1].headers))


async def test_r20_deliveries_of_an_endpoint_that_is_no_longer_configured_stay_due(stage: Stage) -> None:
    stage.endpoint("http://127.0.0.1:9/", name="gone")
    await stage.finish("a", "b", "c")
    leased = await stage.ledger.claim_deliveries("gone", capacity=2)
    del stage.endpoints["gone"]
    async with Receiver() as receiver:
        stage.endpoint(receiver.url)
        with capture_logs() as logs:
            async with stage.dispatcher() as dispatcher:
                dispatcher.take(leased, ["gone", "gone"])
                await stage.settled(2)
                assert dispatcher.capacity() == {"default": 64}
        assert [line["event"] for line in logs] == ["endpoint not configured; its deliveries stay due"]
    assert {(report.state, report.attempts) for report in await stage.reports()} == {(DeliveryState.DUE, 0)}


async def test_r20_an_endpoint_that_goes_away_at_work_keeps_its_deliveries(stage: Stage) -> None:
    async with Receiver(reply(500)) as receiver:
        stage.endpoint(receiver.url)
        async with stage.dispatcher() as dispatcher:
            await stage.finish("r", dispatcher=dispatcher)
            await stage.settled(1)
            del stage.endpoints["default"]
            stage.clock.advance(1.0)
            dispatcher.take(await stage.ledger.claim_deliveries("default", capacity=1), ())
            await stage.settled(2)
        assert len(receiver.requests) == 1
    report = await stage.report()
    assert (report.state, report.attempts) == (DeliveryState.DUE, 1)
    assert report.reason == "endpoint 'default' is not configured"


async def test_what_is_taken_is_sent_without_a_look_into_the_ledger(stage: Stage) -> None:
    async with Receiver() as receiver:
        stage.endpoint(receiver.url)
        async with stage.dispatcher(poll=NEVER) as dispatcher:
            await until(lambda: "due_endpoints" in stage.ledger.answered)
            await stage.finish("r", dispatcher=dispatcher)
            await stage.settled(1)
        assert "claim_deliveries" not in stage.ledger.calls
        assert len(receiver.requests) == 1


async def test_the_time_from_completion_to_send_is_that_of_first_attempts(stage: Stage) -> None:
    async with Receiver(reply(500), reply(200)) as receiver:
        stage.endpoint(receiver.url)
        async with stage.dispatcher() as dispatcher:
            await stage.finish("r", dispatcher=dispatcher)
            await stage.settled(1)
            stage.clock.advance(1.0)
            await stage.settled(2)
    text = stage.metrics.text().decode()
    assert "collator_completion_to_send_seconds_count 1.0" in text
    assert 'collator_delivery_attempts_total{endpoint="default",result="retry"} 1.0' in text
    assert 'collator_delivery_attempts_total{endpoint="default",result="delivered"} 1.0' in text


async def test_a_failing_endpoint_is_told_of_once_a_minute(stage: Stage) -> None:
    async with Receiver(reply(500)) as receiver:
        stage.endpoint(receiver.url)
        async with stage.dispatcher(circuits=Circuits(failures=100)) as dispatcher:
            with capture_logs() as logs:
                await stage.finish(*map(str, range(10)), dispatcher=dispatcher)
                await stage.settled(10)
                stage.clock.advance(60.0)
                await stage.settled(20)
    assert [(line["event"], line["reason"], line["failed"]) for line in logs] == [
        ("deliveries fail", "HTTP 500", 1),
        ("deliveries fail", "HTTP 500", 10),
    ]


async def test_an_endpoint_that_works_again_is_told_of_once(stage: Stage) -> None:
    async with Receiver(*[reply(500)] * 3, *[reply(200)] * 4, reply(500), reply(200)) as receiver:
        stage.endpoint(receiver.url)
        async with stage.dispatcher(circuits=Circuits(failures=100)) as dispatcher:
            with capture_logs() as logs:
                await stage.finish("0", "1", "2", dispatcher=dispatcher)
                await stage.settled(3)
                stage.clock.advance(1.0)
                await stage.settled(6)
                await stage.finish("3", dispatcher=dispatcher)
                await stage.settled(7)
                await stage.finish("4", dispatcher=dispatcher)  # fails, and is told of at once
                await stage.settled(8)
                stage.clock.advance(1.0)
                await stage.settled(9)
                stage.clock.advance(60.0)
                await stage.finish("5", dispatcher=dispatcher)
                await stage.settled(10)
    assert [(line["event"], line["endpoint"], line.get("failed")) for line in logs] == [
        ("deliveries fail", "default", 1),
        ("deliveries succeed again", "default", None),
        ("deliveries fail", "default", 1),
        ("deliveries succeed again", "default", None),
    ]


async def test_p7_a_stop_lets_what_is_under_way_end_and_stores_it(stage: Stage) -> None:
    host_check = anyio.Event()
    async with Receiver((Hold(host_check), *reply(200))) as receiver:
        stage.endpoint(receiver.url, concurrency=2)
        async with stage.dispatcher() as dispatcher:
            await stage.finish(*map(str, range(5)), dispatcher=dispatcher)
            await until(lambda: len(receiver.requests) == 2)
            async with anyio.create_task_group() as group:
                group.start_soon(dispatcher.drain, 10.0)
                await until(lambda: dispatcher.capacity() == {"default": 0})
                host_check.set()
        assert len(receiver.requests) == 2
    states = sorted(report.state for report in await stage.reports())
    assert states == [DeliveryState.DELIVERED] * 2 + [DeliveryState.DUE] * 3


async def test_p7_what_does_not_end_in_time_is_given_back_and_uses_no_attempt(stage: Stage) -> None:
    async with Receiver((Stall(),)) as receiver:
        stage.endpoint(receiver.url, concurrency=2)
        await stage.finish(*map(str, range(6)))
        leased = await stage.ledger.claim_deliveries("default", capacity=4)
        async with stage.dispatcher(poll=NEVER) as dispatcher:
            dispatcher.take(leased, ())
            await until(lambda: len(receiver.requests) == 2)
            await dispatcher.drain(0.01)
            await until(lambda: not receiver.open)
            dispatcher.take(await stage.ledger.claim_deliveries("default", capacity=1), ["default"])
            await stage.settled(1)
        assert len(receiver.requests) == 2
    given_back = await stage.ledger.claim_deliveries("default", capacity=10)
    assert sorted(delivery.resource_id for delivery in given_back) == list("012345")
    assert {delivery.attempt for delivery in given_back} == {1}


async def test_p7_a_stop_ends_even_where_the_ledger_stores_nothing_any_more(stage: Stage) -> None:
    async with Receiver() as receiver:
        stage.endpoint(receiver.url)
        async with stage.dispatcher() as dispatcher:
            stage.ledger.trouble["record_attempts"] = [Unavailable("the disk has failed")] * 1000
            stage.ledger.trouble["release"] = [Unavailable("the disk has failed")]
            with capture_logs() as logs:
                await stage.finish("r", dispatcher=dispatcher)
                await until(lambda: receiver.requests)
                with anyio.fail_after(5):
                    await dispatcher.drain(0.01)
            assert logs[-1] == {
                "event": "delivery attempts not recorded; they will be repeated",
                "log_level": "error",
                "attempts": 1,
            }
