"""The breaker at work (R23): a receiver that fails is left alone, uses up no attempt, and is found again."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import anyio
import msgspec
import pytest
from structlog.testing import capture_logs

from collator.backoff import SCHEDULE
from collator.delivery import Circuits
from collator.delivery.circuit import BREAKER_OPEN
from collator.egress import Body, Destination, Egress, NoAnswer, OutboundRequest, context
from collator.egress.request import RequestEnded
from collator.errors import Unavailable
from collator.messages import Attempt
from collator.states import DeliveryState
from tests.http.stage import Stage
from tests.receiver import Hold, Judge, Receiver, Request, Reset, Script, Stall, reply
from tests.wait import until

pytestmark = pytest.mark.usefixtures("each_ledger_if_asked")

NEVER = 3600.0
CERTIFICATE = Path(__file__).with_name("self_signed.pem")


def state(stage: Stage, endpoint: str = "default") -> str:
    """What the metric says of the breaker of *endpoint*."""
    lines = stage.metrics.text().decode().splitlines()
    (line,) = [line for line in lines if line.startswith("collator_endpoint_breaker{") and line.endswith(" 1.0")]
    assert f'endpoint="{endpoint}"' in line
    return line.split('collator_endpoint_breaker="')[1].split('"')[0]


async def test_r23_an_open_breaker_uses_up_no_attempt_and_a_probe_closes_it(stage: Stage) -> None:
    async with Receiver(*[reply(500)] * 3, reply(200)) as receiver:
        stage.endpoint(receiver.url, concurrency=2)
        async with stage.dispatcher(circuits=Circuits(failures=2)) as dispatcher:
            with capture_logs() as logs:
                await stage.finish("0", "1", dispatcher=dispatcher)
                await until(lambda: state(stage) == "open")
                assert dispatcher.capacity() == {"default": 0}
                assert await stage.finish("2", "3", "4", dispatcher=dispatcher) == []
                await stage.polled()
                assert len(receiver.requests) == 2
                assert dispatcher.why("default") == "breaker open, next try within a second (HTTP 500)"
                stage.clock.advance(1.0)  # one may try, and fails: twice the pause
                await until(lambda: len(receiver.requests) == 3)
                await stage.settled(3)
                stage.clock.advance(1.0)
                await stage.polled()
                assert len(receiver.requests) == 3
                stage.clock.advance(1.0)
                await until(lambda: len(receiver.requests) >= 6)
                await until(lambda: state(stage) == "closed")
                assert dispatcher.why("default") is None
                stage.clock.advance(10.0)
                with anyio.fail_after(5):
                    while len(await stage.reports(state=DeliveryState.DELIVERED)) < 5:
                        pass
        attempts = sorted(report.attempts for report in await stage.reports(state=DeliveryState.DELIVERED))
        assert attempts == [1, 1, 1, 2, 2]  # the probe that failed used none up
    told = [line["event"] for line in logs if line["event"] not in {"deliveries fail", "deliveries postponed"}]
    assert told == [
        "receiver fails; breaker open",
        "receiver works again",
    ]


async def test_r23_what_an_outage_left_behind_is_sent_once_its_receiver_is_back(stage: Stage) -> None:
    async with Receiver(*[reply(500)] * 2, reply(200)) as receiver:
        stage.endpoint(receiver.url)
        for name, delay in (("soon", SCHEDULE[4]), ("far", SCHEDULE[5])):
            await stage.finish(name)
            (delivery,) = await stage.ledger.claim_deliveries("default", capacity=1)
            await stage.ledger.record_attempts([Attempt(delivery, DeliveryState.DUE, "HTTP 500", delay)])
        async with stage.dispatcher(circuits=Circuits(failures=2)) as dispatcher:
            stage.ledger.trouble["bring_forward"] = [Unavailable("not now")]
            await stage.finish("0", "1", dispatcher=dispatcher)
            await until(lambda: state(stage) == "open")
            assert len(receiver.requests) == 2
            stage.clock.advance(1.0)
            await until(lambda: len(receiver.requests) == 5)
            await stage.settled(5)
    assert [one.resource_id for one in await stage.reports(state=DeliveryState.DUE)] == ["far"]


async def test_r23_a_delivery_that_is_alone_does_not_wait_for_minutes_for_its_receiver(stage: Stage) -> None:
    async with Receiver(*[reply(500)] * 5, reply(200)) as receiver:
        stage.endpoint(receiver.url)
        async with stage.dispatcher() as dispatcher:
            await stage.finish("r", dispatcher=dispatcher)
            for number, wait in enumerate(SCHEDULE[1:4], 1):
                await stage.settled(number)
                stage.clock.advance(wait * 1.1)
            await until(lambda: state(stage) == "open")
            stage.clock.advance(1.0)  # a probe, which fails
            await stage.settled(5)
            stage.clock.advance(2.0)
            await until(lambda: state(stage) == "closed")
    assert len(receiver.requests) == 6


async def test_r23_what_was_leased_when_it_opened_is_put_off_with_its_reason(stage: Stage) -> None:
    host_check = anyio.Event()
    async with Receiver((Hold(host_check), *reply(503))) as receiver:
        stage.endpoint(receiver.url, concurrency=1)
        await stage.finish("0", "1")
        leased = await stage.ledger.claim_deliveries("default", capacity=2)
        async with stage.dispatcher(poll=NEVER, circuits=Circuits(failures=1)) as dispatcher:
            dispatcher.take(leased, ())
            await until(lambda: receiver.requests)
            host_check.set()
            await stage.settled(2)
        assert len(receiver.requests) == 1
    failed, put_off = await stage.reports()
    assert (failed.attempts, failed.reason) == (1, "HTTP 503")
    assert (put_off.state, put_off.attempts, put_off.reason, put_off.due_in) == (
        DeliveryState.DUE,
        0,
        BREAKER_OPEN,
        1.0,
    )


async def test_r23_endpoints_of_an_origin_that_cannot_be_reached_share_its_breaker(stage: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    stage.endpoint(f"http://127.0.0.1:{port}/a", name="a")
    stage.endpoint(f"http://127.0.0.1:{port}/b", name="b")
    async with Receiver() as receiver:
        stage.endpoint(receiver.url, name="healthy")
        async with stage.dispatcher(poll=NEVER, circuits=Circuits(failures=2)) as dispatcher:
            await stage.finish("r", dispatcher=dispatcher)
            await stage.settled(3)
            assert dispatcher.capacity() == {"a": 0, "b": 0, "healthy": 128}
            assert "connection refused" in (dispatcher.why("a") or "")
            await stage.finish("s", dispatcher=dispatcher)
            await stage.settled(4)
    assert {report.attempts for report in await stage.reports(resource_id="s", endpoint="a")} == {0}


async def test_r23_tls_settings_that_do_not_fit_hold_up_no_other_endpoint_of_the_origin(stage: Stage) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(CERTIFICATE)
    async with Receiver(tls=tls) as receiver:
        stage.endpoint(receiver.url + "/stranger", name="stranger")
        stage.endpoint(receiver.url + "/friend", name="friend")
        stage.endpoints["friend"] = msgspec.structs.replace(stage.endpoints["friend"], tls=context(CERTIFICATE))
        async with stage.dispatcher(circuits=Circuits(failures=2)) as dispatcher:
            await stage.finish("0", "1", "2", "3", dispatcher=dispatcher)
            await until(lambda: dispatcher.why("stranger"))
            assert dispatcher.why("friend") is None
            await until(lambda: len(receiver.requests) == 4)


async def test_r23_the_metric_says_that_a_breaker_is_closed_before_anything_is_sent(stage: Stage) -> None:
    stage.endpoint("http://127.0.0.1:9/")
    async with stage.dispatcher():
        assert state(stage) == "closed"


async def test_r23_a_dead_path_holds_up_no_other_of_its_host(stage: Stage) -> None:
    async with Receiver(paths={"/dead": (Stall(),)}) as receiver:

        def arrived() -> int:
            return sum("/hook" in request.line for request in receiver.requests)

        stage.endpoint(receiver.url.replace("/hook", "/dead"), name="dead", timeout=0.05)
        stage.endpoint(receiver.url, name="healthy", concurrency=2)
        async with stage.dispatcher(circuits=Circuits(failures=1)) as dispatcher:
            for number in range(10):
                await stage.finish(str(number), dispatcher=dispatcher)
            await until(lambda: arrived() == 10)
            await until(lambda: dispatcher.capacity()["dead"] == 0)
            await stage.finish("later", dispatcher=dispatcher)
            await until(lambda: arrived() == 11)
            await stage.settled(11)
    assert len(await stage.reports(endpoint="healthy", state=DeliveryState.DELIVERED)) == 11
    assert len(await stage.reports(endpoint="dead", state=DeliveryState.DUE)) == 11


async def test_r23_a_probe_that_times_out_proves_nothing_and_one_that_is_answered_begins_gently(stage: Stage) -> None:
    host_check = anyio.Event()
    dead, hangs, held = (Reset(),), (Stall(),), (Hold(host_check), *reply(200))
    async with Receiver(*[dead] * 2, hangs, reply(200), held) as receiver:
        stage.endpoint(receiver.url, timeout=0.5)
        async with stage.dispatcher(circuits=Circuits(failures=2)) as dispatcher:
            with capture_logs() as logs:
                await stage.finish("0", "1", dispatcher=dispatcher)
                await until(lambda: state(stage) == "open")
                await stage.finish(*map(str, range(2, 40)), dispatcher=dispatcher)
                stage.clock.advance(1.0)
                await stage.settled(3)  # the probe has timed out
                await stage.polled()
                assert (state(stage), len(receiver.requests)) == ("open", 3)
                assert "receiver works again" not in [line["event"] for line in logs]
                stage.clock.advance(2.0)
                await until(lambda: len(receiver.requests) == 5)  # the probe, and the one that follows it
                await until(lambda: state(stage) == "closed")
                assert dispatcher.capacity() == {"default": 0}
                host_check.set()
                await until(lambda: len(receiver.requests) >= 40)


@pytest.mark.parametrize("due", [1, 3])
async def test_r23_an_outage_of_days_costs_what_is_due_no_attempt_but_those_before_it_was_noticed(
    stage: Stage, due: int
) -> None:
    async with Receiver(reply(503)) as receiver:
        stage.endpoint(receiver.url)
        async with stage.dispatcher(poll=0.001) as dispatcher:
            await stage.finish(*map(str, range(due)), dispatcher=dispatcher)
            await stage.settled(due)
            for hour in range(5 * 24):
                asked, settled = len(receiver.requests), sum(stage.ledger.settled)
                stage.clock.advance(3600.0)
                await stage.settled(settled + 1)
                assert len(receiver.requests) > asked, hour  # it goes on being tried
            assert {one.state for one in await stage.reports()} == {DeliveryState.DUE}
            assert sum(one.attempts for one in await stage.reports()) <= 5 + due
            receiver.scripts = (reply(200),)
            stage.clock.advance(60.0)  # what a receiver that is back waits at most
            await until(lambda: len(receiver.requests) > asked + 1)
            await until(lambda: state(stage) == "closed")


async def test_r23_a_delivery_that_is_the_cause_itself_comes_to_its_end_while_others_succeed(stage: Stage) -> None:
    def judge(request: Request) -> int:
        return 500 if b'"poison-' in request.body else 200

    async with Receiver((Judge(judge),)) as receiver:
        stage.endpoint(receiver.url, concurrency=8)
        async with stage.dispatcher(poll=0.001) as dispatcher:
            await stage.finish(*(f"poison-{number}" for number in range(8)))
            poison = {report.webhook_id for report in await stage.reports()}
            for hour in range(24 * 14):
                await stage.finish(f"well-{hour}", dispatcher=dispatcher)
                await stage.polled(10)
                for _ in range(60):  # what a receiver that is back waits at most
                    if {one.state for one in await stage.reports(prefix="well-")} == {DeliveryState.DELIVERED}:
                        break
                    stage.clock.advance(1.0)
                    await stage.polled(10)
                else:
                    pytest.fail(f"well-{hour} was held up by what fails")
                if len(await stage.reports(state=DeliveryState.DEAD)) == len(poison):
                    break
                stage.clock.advance(3600.0)
        dead = await stage.reports(state=DeliveryState.DEAD)
        assert {one.webhook_id for one in dead} == poison
        assert {one.attempts for one in dead} == {len(SCHEDULE)}


class Short(Egress):
    """Lacks descriptors until it has been asked so often."""

    def __init__(self, often: int) -> None:
        super().__init__()
        self.often, self.asked = often, 0

    def begin(
        self,
        way: Destination | None,
        fields: str,
        body: Body,
        told: RequestEnded,
        *,
        timeout: float,
        keep: int = 0,
    ) -> OutboundRequest | None:
        self.asked += 1
        if self.asked <= self.often:
            answer = NoAnswer("too many open files", reached=False, own_shortage=True)
            asyncio.get_running_loop().call_soon(told, answer)
            return None
        return super().begin(way, fields, body, told, timeout=timeout, keep=keep)


async def test_r23_a_shortage_of_this_process_is_waited_for_and_held_against_nobody(stage: Stage) -> None:
    egress = Short(30)
    async with Receiver() as receiver:
        stage.endpoint(receiver.url, concurrency=20)
        with capture_logs() as logs:
            async with stage.dispatcher(circuits=Circuits(failures=1), egress=egress) as dispatcher:
                await stage.finish(*map(str, range(20)), dispatcher=dispatcher)
                await stage.settled(20)
                assert (dispatcher.capacity(), state(stage)) == ({"default": 0}, "closed")
                why = "waiting for less than a second, because this service lacks resources (too many open files)"
                assert dispatcher.why("default") == why
                assert {(one.attempts, one.due_in) for one in await stage.reports()} == {(0, 1.0)}
                for _ in range(11):  # one at a time from now on, until there are descriptors again
                    asked = egress.asked
                    stage.clock.advance(1.0)
                    await until(lambda: egress.asked > asked)  # noqa: B023 - it is called at once
                    await stage.polled()
                await until(lambda: len(receiver.requests) == 20)
    assert [(line["event"], line["failed"]) for line in logs if line["event"] != "receiver works again"] == [
        ("deliveries postponed", 1)
    ]
    assert {one.attempts for one in await stage.reports()} == {1}


async def test_r20_of_an_endpoint_that_is_not_configured_it_says_so(stage: Stage) -> None:
    async with stage.dispatcher() as dispatcher:
        assert "no longer configured" in (dispatcher.why("gone") or "")


REFUSED = {
    "by an open breaker": (reply(500), 0),
    "as its receiver asked": (reply(429, "retry-after: 3600"), 0),
    "until its next attempt": (reply(400), 1),
}


@pytest.mark.parametrize(("refusal", "used_up"), REFUSED.values(), ids=REFUSED.keys())
async def test_r23_a_person_has_a_receiver_tried_whatever_is_waited_for(
    stage: Stage, refusal: Script, used_up: int
) -> None:
    async with Receiver(refusal, refusal, reply(200)) as receiver:
        stage.endpoint(receiver.url)
        async with stage.dispatcher(circuits=Circuits(failures=1)) as dispatcher:
            assert not await dispatcher.try_now("default")  # nothing is due
            await stage.finish("0", dispatcher=dispatcher)
            await stage.settled(1)
            first = (await stage.report()).attempts
            for requests in (2, 3):  # no time passes
                await stage.polled()
                assert len(receiver.requests) == requests - 1
                assert await dispatcher.try_now("default")
                await stage.settled(requests)
        assert len(receiver.requests) == 3
    report = await stage.report()
    assert (report.state, report.attempts) == (DeliveryState.DELIVERED, first + used_up + 1)


async def test_r23_what_is_due_follows_a_try_that_succeeds(stage: Stage) -> None:
    async with Receiver(reply(500), reply(200)) as receiver:
        stage.endpoint(receiver.url, concurrency=1)
        async with stage.dispatcher(circuits=Circuits(failures=1)) as dispatcher:
            await stage.finish("0", dispatcher=dispatcher)
            await stage.settled(1)
            assert await stage.finish("1", "2", dispatcher=dispatcher) == []
            assert dispatcher.next_try("default") == 1.0
            assert await dispatcher.try_now("default")
            await stage.settled(4)
            assert dispatcher.next_try("default") is None
    delivered = await stage.reports(state=DeliveryState.DELIVERED)
    assert [report.resource_id for report in delivered] == ["0", "1", "2"]  # of "0", before its time


async def test_r23_what_is_paused_or_not_configured_is_not_tried(stage: Stage) -> None:
    async with Receiver(reply(410)) as receiver:
        stage.endpoint(receiver.url)
        async with stage.dispatcher() as dispatcher:
            await stage.finish("0", dispatcher=dispatcher)
            await stage.settled(1)
            assert not await dispatcher.try_now("default")
            assert not await dispatcher.try_now("other")
        assert len(receiver.requests) == 1
