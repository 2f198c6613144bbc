"""Connections go where the policy lets: what counts is the address that a name leads to, at each lookup."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import ip_network

import pytest

from collator.egress import Answer, Egress, NoAnswer, Policy
from collator.messages import Key, Lease, Output, Retry, Task
from collator.processor import HttpService, open_processor
from collator.states import DeliveryState
from tests.http.stage import Stage
from tests.receiver import Receiver, reply
from tests.wait import until

pytestmark = pytest.mark.anyio

LONG = 20.0
DENYING = Policy(deny=[ip_network("127.0.0.2"), ip_network("127.0.0.3")])
REASON = "address not allowed: 127.0.0.2 is in 127.0.0.2/32 (egress_deny)"


class Names:
    """What names lead to, and which of them were looked up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.addresses: list[str] = []
        self.asked: list[str] = []
        monkeypatch.setattr(socket, "getaddrinfo", self._find)

    def _find(self, host: str, port: int, **_options: object) -> Sequence[tuple[object, ...]]:
        self.asked.append(host)
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in self.addresses
        ]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    return Names(monkeypatch)


def named(url: str) -> str:
    return url.replace("127.0.0.1", "receiver.test")


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.2"],
        ["127.0.0.2", "127.0.0.3"],
        ["::ffff:127.0.0.2"],
        ["169.254.169.254"],
        ["fe80::1%1"],
        ["64:ff9b::7f00:2", "127.0.0.3"],
    ],
)
async def test_a_name_that_leads_to_denied_addresses_alone_is_no_answer(names: Names, addresses: list[str]) -> None:
    names.addresses = addresses
    egress = Egress(policy=DENYING)
    async with Receiver() as receiver:
        answer = await egress.send(named(receiver.url), {}, b"{}", timeout=LONG)
        assert receiver.connections == 0
    await egress.aclose()
    assert isinstance(answer, NoAnswer)
    assert answer.reason.startswith("address not allowed: ")
    assert (answer.reached, answer.own_shortage) == (False, False)


async def test_of_several_addresses_those_that_are_denied_are_left_out(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = list[object]()
    connect = socket.socket.connect

    def seen(self: socket.socket, address: tuple[str, int]) -> None:
        tried.append(address[0])
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", seen)
    names.addresses = ["169.254.169.254", "127.0.0.2", "127.0.0.1", "::ffff:127.0.0.3"]
    egress = Egress(policy=DENYING)
    async with Receiver() as receiver:
        assert await egress.send(named(receiver.url), {}, b"{}", timeout=LONG) == Answer(200)
    await egress.aclose()
    assert {*tried} <= {"127.0.0.1"}


async def test_a_name_is_looked_up_once_for_the_check_and_the_connection(names: Names) -> None:
    """A name that leads elsewhere at each lookup cannot pass the check by one, and be connected to by another."""
    names.addresses = ["127.0.0.1"]
    egress = Egress(policy=DENYING)
    async with Receiver() as receiver:
        assert await egress.send(named(receiver.url), {}, b"{}", timeout=LONG) == Answer(200)
    await egress.aclose()
    assert names.asked == ["receiver.test"]


async def test_an_address_is_denied_whatever_the_url_calls_it() -> None:
    egress = Egress(policy=DENYING)
    for host in ("127.0.0.2", "[::ffff:127.0.0.2]", "[::ffff:7f00:2]", "[64:ff9b::127.0.0.2]"):
        answer = await egress.send(f"http://{host}:9/", {}, b"{}", timeout=LONG)
        assert isinstance(answer, NoAnswer)
        assert "127.0.0.2/32 (egress_deny)" in answer.reason
    await egress.aclose()


async def test_a_denied_delivery_says_why_and_is_tried_again_until_its_name_leads_elsewhere(
    stage: Stage, names: Names
) -> None:
    names.addresses = ["127.0.0.2"]
    async with Receiver(reply(200)) as receiver:
        stage.endpoint(named(receiver.url))
        async with stage.dispatcher(egress=Egress(policy=DENYING)) as dispatcher:
            await stage.finish("r", dispatcher=dispatcher)
            await stage.settled(1)
            report = await stage.report()
            assert (report.state, report.reason, report.attempts) == (DeliveryState.DUE, REASON, 1)
            names.addresses = ["127.0.0.1"]
            stage.clock.advance(10.0)
            await stage.settled(2)
        assert len(receiver.requests) == 1
    assert (await stage.report()).state is DeliveryState.DELIVERED


async def test_the_policy_holds_for_an_http_processor_too(names: Names) -> None:
    names.addresses = ["127.0.0.2"]
    task = Task(Key("r", bytes(16), 0), b"1", 1, Lease(1, 1))
    async with Receiver(reply(200, "content-type: application/json", body=b"2")) as receiver:
        processor = open_processor(named(receiver.url), policy=DENYING)
        assert isinstance(processor, HttpService)
        async with processor.calls() as calls:
            refused = (await calls([task])).result
            assert isinstance(refused, Retry)
            assert REASON in refused.reason
            assert receiver.connections == 0
            names.addresses = ["127.0.0.1"]
            assert isinstance((await calls([task])).result, Output)
        await until(lambda: receiver.requests)
    assert receiver.requests[0].headers["accept-encoding"] == "identity"
