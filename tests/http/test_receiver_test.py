"""The test of a receiver by a person: sent as all webhooks are, and no delivery (R21, R22)."""

from __future__ import annotations

import gzip
import re
import socket
from ipaddress import ip_network

import anyio
import msgspec
import pytest

from collator.delivery import Circuits
from collator.egress import Answer, Egress, Policy
from collator.errors import Conflict, Unknown
from collator.signing import verify
from tests.http.stage import Stage
from tests.receiver import Receiver, Script, Stall, reply

pytestmark = pytest.mark.usefixtures("each_ledger_if_asked")

TEXT = "content-type: text/plain; charset=utf-8"
LONG = "é\n" * 3000
CUT = LONG.encode()[:2048].decode("utf-8", "replace")


async def test_r21_a_test_is_signed_and_says_that_it_is_one(stage: Stage) -> None:
    async with Receiver(reply(200, "content-type: application/json", body=b'{"ok":\n true}')) as receiver:
        secret = stage.endpoint(receiver.url, name="crm")
        async with stage.dispatcher() as dispatcher:
            said = [await dispatcher.test("crm") for _ in range(2)]
    for answer, request in zip(said, receiver.requests, strict=True):
        assert verify(secret, request.headers, request.body, now=stage.clock.wall()) == answer.webhook_id
        assert re.fullmatch("msg_[a-z2-7]{52}", answer.webhook_id)
        body = msgspec.json.decode(request.body)
        assert (body["type"], body["data"], [*body]) == ("test", {"endpoint": "crm"}, ["type", "timestamp", "data"])
        assert request.headers["content-type"] == "application/json"
        assert (answer.accepted, answer.status, answer.reason) == (True, 200, "HTTP 200")
        assert answer.text == '{"ok":\n true}'
    assert said[0].webhook_id != said[1].webhook_id
    assert {*stage.ledger.calls} <= {"paused", "due_endpoints", "claim_deliveries"}  # nothing is stored
    assert await stage.reports() == []


ANSWERS: dict[str, tuple[Script, int | None, str, str]] = {
    "a refusal": (reply(400, TEXT, body=b"no such\naccount"), 400, "HTTP 400", "no such\naccount"),
    "a page": (reply(500, "content-type: text/html", body=b"<b>no</b>"), 500, "HTTP 500", "<b>no</b>"),
    "a long text": (reply(500, TEXT, body=LONG.encode()), 500, "HTTP 500", CUT),
    "a success with more than anybody reads": (reply(200, TEXT, body=b"x" * 70_000), 200, "HTTP 200", "x" * 2048),
    "what is no text": (reply(200, "content-type: image/png", body=b"PNG"), 200, "HTTP 200", ""),
    "what is compressed": (
        reply(400, TEXT, "content-encoding: gzip", body=gzip.compress(b"no")), 400, "HTTP 400", "",
    ),
    "a redirect": (
        reply(301, "location: /there?key=1", TEXT, body=b"moved"), 301,
        "HTTP 301 to /there?…; redirects are not followed", "moved",
    ),
    "silence": ((Stall(),), None, "timed out after 0.5 s", ""),
}  # fmt: skip


@pytest.mark.parametrize(("script", "status", "reason", "text"), ANSWERS.values(), ids=ANSWERS.keys())
async def test_r22_what_the_receiver_says_is_told(
    stage: Stage, script: Script, status: int | None, reason: str, text: str
) -> None:
    async with Receiver(script) as receiver:
        stage.endpoint(receiver.url, timeout=0.5)
        async with stage.dispatcher() as dispatcher:
            said = await dispatcher.test("default")
    assert (said.accepted, said.status, said.reason, said.text) == (status == 200, status, reason, text)
    assert len(receiver.requests) == 1


async def test_r22_a_test_goes_nowhere_that_no_webhook_goes(stage: Stage) -> None:
    async with Receiver() as receiver:
        stage.endpoint(receiver.url)
        egress = Egress(policy=Policy(deny=[ip_network("127.0.0.0/8")]))
        async with stage.dispatcher(egress=egress) as dispatcher:
            said = await dispatcher.test("default")
        assert (said.accepted, said.status, receiver.connections) == (False, None, 0)
        assert said.reason.startswith("address not allowed")


async def test_r23_a_test_is_sent_though_nothing_else_is_and_changes_nothing(stage: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    stage.endpoint(f"http://127.0.0.1:{port}/hook")
    async with stage.dispatcher(circuits=Circuits(failures=1)) as dispatcher:
        await stage.finish("0", dispatcher=dispatcher)
        await stage.settled(1)
        before = dispatcher.next_try("default")
        assert before is not None
        assert "connection refused" in (await dispatcher.test("default")).reason
        async with Receiver(port=port) as receiver:
            assert (await dispatcher.test("default")).accepted
            assert dispatcher.next_try("default") == before
            await stage.ledger.pause("default", reason="by a person")
            await dispatcher.refresh()
            assert (await dispatcher.test("default")).accepted
            assert len(receiver.requests) == 2


async def test_a_function_of_the_program_and_what_is_not_configured_get_no_test(stage: Stage) -> None:
    called = anyio.Event()

    async def handler(_id: str, _body: bytes) -> Answer:
        called.set()
        return Answer(200)

    stage.endpoint("http://127.0.0.1:1/")
    stage.endpoints["default"] = msgspec.structs.replace(stage.endpoints["default"], handler=handler)
    async with stage.dispatcher() as dispatcher:
        with pytest.raises(Conflict, match="a function of this program"):
            await dispatcher.test("default")
        with pytest.raises(Unknown, match="'other' is not configured"):
            await dispatcher.test("other")
    assert not called.is_set()
