"""`/v1/stream`: packets in, acknowledgements and outcomes out, on one connection of WebSocket."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from websockets.frames import Opcode

from collator.packet import PacketLimits
from collator.rules.resource import LedgerLimits
from collator.tokens import Role, generate_token, line_for, parse_tokens
from collator.web import ack_progress
from collator.web.limits import HttpLimits
from collator.web.resource_feed import FeedFollower, News, ResourceFeed
from tests.http.followers import record
from tests.http.listener import Harness, connect, open_door, packet
from tests.http.service import Running, running
from tests.http.sockets import frame, handshake, offered, read_close, read_frame, socket
from tests.wait import until


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[Harness]:
    async with open_door(tmp_path) as listener:
        yield listener


def port_of(it: Running) -> int:
    return int(it.service.url.rpartition(":")[2])


@pytest.mark.usefixtures("each_ledger")
async def test_packets_go_in_and_outcomes_come_out(tmp_path: Path) -> None:
    async with running(tmp_path) as it, socket(port_of(it)) as client:
        begin = {"type": "begin", "resource_id": "r", "next_index": 0, "state": "open"}
        assert await client.start(outcomes=True, metadata={"of": "a call"}) == begin
        await client.binary(b"\x00\xff", b"")
        await client.say("packet", index=2, payload={"text": "ü"})
        await client.say("stop")  # as many as came
        heard = await client.until("end")
        (webhook,) = await it.webhooks(1)
        outputs = [b64encode(b"\x00\xff").decode(), "", {"text": "ü"}]
        assert webhook["data"]["outputs"] == outputs
        assert webhook["data"]["metadata"] == {"of": "a call"}
        acks = [one for one in heard if one["type"] == "ack"]
        assert acks[-1] == {"type": "ack", "resource_id": "r", "through": 2, "packets": 3}
        told = [one for one in heard if one["type"] == "output"]
        assert [(one["seq"], one["index"], one["output"]) for one in told] == [
            (seq, one["index"], outputs[one["index"]]) for seq, one in enumerate(told, 1)
        ]
        assert len(told) == 3
        end = {"resource_id": "r", "state": "collated", "completed_by": "total", "total": 3}
        assert heard[-1] == {"type": "end", **end, "webhook_id": it.receiver.received[0].webhook_id}
        # The next resource on the same connection; nobody asked for outcomes.
        await client.start("s")
        await client.say("packet", index=0, payload=None, last=True)
        await client.say("packet", index=1, payload={"fail": "no"})
        assert [one["type"] for one in await client.until("error")][-1:] == ["error"]
        await client.say("stop", total=1)
        assert (await client.until("end"))[-1]["total"] == 1


async def test_an_outcome_is_written_without_the_task_of_the_stream_until_the_end(
    listener: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, woken = list[FeedFollower](), list[News]()

    def wait(feed: ResourceFeed, follower: FeedFollower, wait: Callable[..., None] = ResourceFeed.wait) -> None:
        waiting.append(follower)
        wait(feed, follower)

    def tell(one: FeedFollower, news: News, looks: int, tell: Callable[..., None] = FeedFollower.tell) -> None:
        woken.append(news)
        tell(one, news, looks)

    monkeypatch.setattr(ResourceFeed, "wait", wait)
    monkeypatch.setattr(FeedFollower, "tell", tell)
    await listener.post([packet(index, last=index == 2) for index in range(3)])
    async with socket(listener.port) as client:
        await client.start(outcomes=True)
        for index in range(3):
            await until(lambda: bool(waiting))
            await record(listener, index)
            assert (await client.until("output"))[-1]["index"] == index
            assert len(woken) == (index == 2)
        await client.until("end")


async def test_who_starts_again_learns_the_first_gap_and_the_outcomes_that_he_missed(tmp_path: Path) -> None:
    async with running(tmp_path, on_failure="hold") as it:
        async with socket(port_of(it)) as client:
            await client.start()
            for index in (0, 1, 3):
                await client.say("packet", index=index, payload={"fail": "bad"} if index == 1 else index)
            assert (await client.stored(1))["through"] == 1
        await it.stored(waiting=0)
        async with socket(port_of(it)) as client:
            assert (await client.start(outcomes=True, after_seq=1))["next_index"] == 2
            assert [(await client.hear())["seq"] for _ in range(2)] == [2, 3]
            await client.binary(b"two")
            assert (await client.stored(3))["packets"] == 1  # the third was there
            await client.binary(b"three")  # which contradicts what is there
            (*_, error) = await client.until("error")
            assert (error["problem"]["code"], error["problem"]["index"]) == ("conflict", 3)
        report = await it.resource()
        assert (report["received"], report["failed"]) == (4, 1)


async def test_an_acknowledgement_comes_once_the_packets_are_stored(listener: Harness) -> None:
    async with socket(listener.port) as client:
        await client.start()
        listener.ledger.open.clear()
        await client.binary(b"a")
        await until(lambda: listener.ledger.calls == [1])
        await client.binary(b"b", b"c")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.connection.recv(), 0.1)
        listener.ledger.open.set()
        assert (await client.hear())["through"] == 0
        assert (await client.hear())["through"] == 2
        assert listener.ledger.calls == [1, 2]  # what came meanwhile is stored in one go
        assert (await listener.ask("GET", "/v1/resources/r")).json["received"] == 3


async def test_packets_in_any_order_are_acknowledged_up_to_the_gap(
    listener: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ack_progress, "AHEAD", 3)
    indexes = [*range(40)]
    Random(1).shuffle(indexes)
    stored, ack = set[int](), {"through": -1}
    async with socket(listener.port) as client:
        await client.start()
        for index in indexes:
            await client.say("packet", index=index, payload=index)
            ack = (await client.until("ack"))[-1]
            stored.add(index)
            gap = min({*range(41)} - stored)
            assert ack["through"] < gap
            assert ack["packets"] == len(stored)
        assert ack["through"] == 39


async def test_errors_that_end_nothing_are_told_with_the_problem_of_the_api(listener: Harness) -> None:
    async with socket(listener.port) as client:
        for message in ("x", "[]", "{}", '{"type":"go"}', '{"type":"packet","index":0,"payload":1}'):
            await client.connection.send(message)
            error = await client.hear()
            assert (error["type"], error["problem"]["code"]) == ("error", "malformed"), message
        for members in ({"resource_id": ""}, {"resource_id": "r", "metadata": []}, {"resource_id": 1, "after_seq": -1}):
            assert (await client.start(**members))["problem"]["code"] == "malformed"
        await client.start(1)
        for wrong in ({"index": -1}, {"index": 0.5}, {"index": 0, "total": 0}, {"index": 10**7}, {"index": "0"}):
            await client.say("packet", payload=0, **wrong)
            assert (await client.until("error"))[-1]["problem"]["code"] == "malformed"
        await client.say("packet", index=0.0, payload=0, last=None, total=None)
        await client.stored(0)
        await client.say("packet", index=0, payload=1)
        problem = (await client.until("error"))[-1]["problem"]
        assert (problem["code"], problem["status"], problem["resource_id"], problem["index"]) == (
            "conflict",
            409,
            "1",
            0,
        )
        await client.say("stop", total=0)
        assert (await client.until("error"))[-1]["problem"]["code"] == "conflict"
        await listener.ask("POST", "/v1/resources/1/cancel")
        await client.binary(b"late")
        assert (await client.until("error"))[-1]["problem"]["code"] == "closed"
        await client.say("start", resource_id="1")
        assert (await client.until("begin"))[-1]["state"] == "cancelled"
    text = listener.metrics.text().decode()
    assert 'collator_requests_refused_total{code="conflict"} 2.0' in text


async def test_what_is_refused_for_now_is_offered_again(tmp_path: Path) -> None:
    async with open_door(tmp_path, ledger_limits=LedgerLimits(max_open=1)) as listener, socket(listener.port) as client:
        await listener.post(packet(resource_id="other"))
        await client.start()
        await client.binary(b"a", b"b")
        slow = await client.hear()
        while slow["type"] == "ack":
            assert slow["through"] == -1
            slow = await client.hear()
        assert slow["type"] == "slow_down"
        assert "max_open" in slow["reason"]
        await listener.ask("POST", "/v1/resources/other/cancel")
        assert (await client.stored(1))["packets"] == 2


async def test_what_is_refused_for_long_ends_the_stream(tmp_path: Path) -> None:
    limits = HttpLimits(stream_idle=0.0)
    async with open_door(tmp_path, limits=limits, ledger_limits=LedgerLimits(max_open=1)) as listener:
        await listener.post(packet(resource_id="other"))
        async with socket(listener.port) as client:
            await client.say("start", resource_id="r")
            await client.binary(b"a")
            code, reason, heard = await client.closed()
        assert (code, reason.partition(":")[0], heard[-1]["problem"]["code"]) == (1013, "refused", "refused")


# How it ends.


async def test_a_message_over_the_limit_of_a_payload_ends_the_stream(tmp_path: Path) -> None:
    ledger_limits = LedgerLimits(packet_limits=PacketLimits(max_payload=4000))
    async with open_door(tmp_path, ledger_limits=ledger_limits) as listener:
        async with socket(listener.port) as client:
            await client.start()
            await client.binary(b"x" * (3998 // 4 * 3))
            await client.stored(0)
            await client.binary(b"x" * (3998 // 4 * 3 + 1))
            code, _, heard = await client.closed()
            assert (code, heard[-1]["problem"]["code"]) == (1009, "too_large")
        async with socket(listener.port) as client:
            await client.binary(b"x" * 40_000)
            assert (await client.closed())[0] == 1009
        async with listener.wire() as wire:  # in pieces
            await offered(wire)
            await wire.send(frame(b"x" * 20_000, Opcode.BINARY, fin=False) + frame(b"x" * 20_000, Opcode.CONT))
            assert await read_close(wire) == (1009, [])


ROGUES = {
    "bad UTF-8": (1007, frame(b'{"type":"\xff"}')),
    "half a character": (1007, frame(b'"\xc3', fin=False) + frame(b'"', Opcode.CONT)),
    "not masked": (1002, frame(b"{}", mask=False)),
    "a reserved bit": (1002, b"\xc1" + frame(b"{}")[1:]),
    "an unknown frame": (1002, b"\x83" + frame(b"{}")[1:]),
    "a long ping": (1002, frame(b"x" * 126, Opcode.PING)),
    "a ping in pieces": (1002, frame(b"x", Opcode.PING, fin=False)),
    "a continuation of nothing": (1002, frame(b"x", Opcode.CONT)),
    "a message within another": (1002, frame(b"x", fin=False) + frame(b"y")),
    "a close of one byte": (1002, frame(b"x", Opcode.CLOSE)),
    "a request": (1002, b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"),
}


@pytest.mark.parametrize("name", ROGUES)
async def test_what_is_no_message_ends_the_stream(listener: Harness, name: str) -> None:
    code, data = ROGUES[name]
    async with listener.wire() as wire:
        await offered(wire)
        await wire.send(data + frame({"type": "start", "resource_id": "r"}))
        assert (await read_close(wire))[0] == code
        assert await wire.end() == b""
    assert listener.ledger.calls == []


async def test_a_close_is_answered_and_what_came_before_it_is_stored(listener: Harness) -> None:
    async with listener.wire() as wire:
        await offered(wire)
        await wire.send(
            frame({"type": "start", "resource_id": "r"})
            + frame(b"x", Opcode.BINARY)
            + frame((1000).to_bytes(2), Opcode.CLOSE)
        )
        assert (await read_close(wire))[0] == 1000
        assert await wire.end() == b""
    await until(lambda: listener.server.connections == 0)
    assert (await listener.ask("GET", "/v1/resources/r")).json["received"] == 1
    assert listener.app._load.streams.used == listener.app._load.requests.used == listener.app._buffer_memory.used == 0


async def test_a_stop_of_the_service_ends_streams_at_once(tmp_path: Path) -> None:
    async with open_door(tmp_path) as listener, socket(listener.port) as client:
        await client.start()
        await client.binary(b"x")
        await client.stored(0)
        listener.intake.drain()
        code, reason, heard = await client.closed()
        assert (code, heard[-1]["problem"]["code"]) == (1013, "unavailable")
        assert "stopping" in reason
    async with asyncio.timeout(5):  # the listener alone is closed
        async with open_door(tmp_path) as listener:
            client = await socket(listener.port).__aenter__()
        assert (await client.closed())[0] == 1001


async def test_a_store_that_takes_nothing_ends_the_stream(listener: Harness) -> None:
    from collator.errors import StorageFull

    listener.ledger.errors[0] = StorageFull()
    async with socket(listener.port) as client:
        await client.start()
        await client.binary(b"x")
        code, _, heard = await client.closed()
        assert (code, heard[-1]["problem"]["code"]) == (1013, "storage_full")


async def test_a_defect_is_logged_and_ends_the_stream(listener: Harness) -> None:
    listener.ledger.errors[0] = ZeroDivisionError()
    async with socket(listener.port) as client:
        await client.start()
        await client.binary(b"x")
        code, _, heard = await client.closed()
        assert (code, heard[-1]["problem"]["code"]) == (1011, "internal_error")


async def test_a_stream_on_which_nothing_is_started_ends_soon(tmp_path: Path) -> None:
    async with open_door(tmp_path, limits=HttpLimits(stream_idle=0.2, ping_seconds=0.05)) as listener:
        async with socket(listener.port) as client:
            code, _, heard = await client.closed()
            assert (code, heard[-1]["problem"]["code"]) == (1008, "stream_idle")
        async with socket(listener.port) as client:  # while one is, pings keep it open
            await client.start()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.connection.recv(), 0.4)
            await client.binary(b"x")
            await client.stored(0)


async def test_a_silent_client_is_pinged_and_then_given_up(tmp_path: Path) -> None:
    async with open_door(tmp_path, limits=HttpLimits(ping_seconds=0.05)) as listener, listener.wire() as wire:
        await offered(wire)
        assert await read_frame(wire) == (Opcode.PING, b"")
        await wire.send(frame(b"", Opcode.PONG))
        assert await read_frame(wire) == (Opcode.PING, b"")
        await wire.end()
        await until(lambda: listener.server.connections == 0)


# Cuts.


@pytest.mark.usefixtures("each_ledger")
async def test_r26_who_is_cut_off_at_any_byte_loses_nothing(tmp_path: Path) -> None:
    random, total = Random(7), 60
    seen: dict[int, Any] = {}
    async with running(tmp_path, max_streams=1000) as it:
        for cut in [*(random.randrange(4000) for _ in range(15)), 1_000_000]:
            wire = await connect(port_of(it))
            await offered(wire)
            say = {"type": "start", "resource_id": "r", "outcomes": True, "after_seq": max(seen, default=0)}
            await wire.send(frame(say))
            begin = json.loads((await read_frame(wire))[1])
            data = b"".join(frame(b"%d" % index, Opcode.BINARY) for index in range(begin["next_index"], total))
            await wire.send((data + frame({"type": "stop", "total": total}))[:cut])
            if cut > len(data):
                while (heard := json.loads((await read_frame(wire))[1]))["type"] != "end":
                    take(seen, heard)
            else:
                for _ in range(random.randrange(4)):
                    take(seen, json.loads((await read_frame(wire))[1]))
            await wire.aclose()
        (webhook,) = await it.webhooks(1)
    outputs = [b64encode(b"%d" % index).decode() for index in range(total)]
    assert webhook["data"]["outputs"] == outputs
    assert [*seen] == [*range(1, total + 1)]
    assert sorted(seen.values()) == sorted(zip(range(total), outputs, strict=True))


def take(seen: dict[int, Any], heard: Any) -> None:  # noqa: ANN401 - JSON may be anything
    if heard["type"] == "output":
        assert heard["seq"] not in seen
        seen[heard["seq"]] = heard["index"], heard["output"]


async def test_frames_may_come_in_any_pieces(listener: Harness) -> None:
    random = Random(3)
    message = json.dumps({"type": "packet", "index": 0, "payload": "€" * 100}).encode()
    pieces = [frame(message[:1], fin=False)]
    pieces += [frame(message[at : at + 1], Opcode.CONT, fin=False) for at in range(1, len(message))]
    pieces = [one + frame(b"%d" % at, Opcode.PING) for at, one in enumerate(pieces)]
    data = frame({"type": "start", "resource_id": "r"}) + b"".join(pieces) + frame(b"", Opcode.CONT)
    async with listener.wire() as wire:
        await offered(wire)
        at = 0
        while at < len(data):
            size = random.choice([1, 2, 3, 50, 400])
            await wire.send(data[at : at + size])
            at += size
        heard = list[tuple[Opcode, bytes]]()
        while not any(b'"ack"' in one for _, one in heard):
            heard.append(await read_frame(wire))
    assert [one for kind, one in heard if kind is Opcode.PONG] == [b"%d" % at for at in range(len(message))]
    assert (await listener.ask("GET", "/v1/resources/r/packets/0")).json["payload"] == "€" * 100


# Who may.

TOKENS = {name: generate_token() for name in ("send", "read", "some", "both")}
FILE = "\n".join(
    [
        line_for(TOKENS["send"], roles=[Role.SEND], name="send"),
        line_for(TOKENS["read"], roles=[Role.READ], name="read"),
        line_for(TOKENS["some"], roles=[Role.SEND], name="some", prefixes=["a-"]),
        line_for(TOKENS["both"], roles=[Role.SEND, Role.READ], name="both"),
    ]
)


async def test_a_token_opens_what_its_role_and_prefixes_say(tmp_path: Path) -> None:
    tokens = [parse_tokens(FILE)]
    async with open_door(tmp_path, tokens=lambda: tokens[-1]) as listener:
        for name, status in (("", 401), (generate_token(), 401), (TOKENS["read"], 403)):
            reply = await asked(listener, authorization=f"Bearer {name}" if name else "")
            assert reply.status == status
        async with socket(listener.port, TOKENS["some"]) as client:
            assert (await client.start("a-1"))["type"] == "begin"
            await client.say("start", resource_id="b-1")
            code, _, heard = await client.closed()
            assert (code, heard[-1]["problem"]["code"]) == (1008, "forbidden")
        async with socket(listener.port, TOKENS["send"]) as client:
            await client.say("start", resource_id="r", outcomes=True)
            code, _, heard = await client.closed()
            assert (code, heard[-1]["problem"]["code"]) == (1008, "forbidden")
        async with socket(listener.port, TOKENS["both"]) as client:
            assert (await client.start(outcomes=True))["type"] == "begin"
            tokens.append(parse_tokens(FILE.rpartition("\n")[0]))  # it is taken back
            await client.say("start", resource_id="s")
            code, _, heard = await client.closed()
            assert (code, heard[-1]["problem"]["code"]) == (1008, "unauthorized")
        records = (await listener.ledger.audit(limit=10)).records
        assert {(one.who, one.verb) for one in records} >= {
            ("some", "refused"),
            ("send", "refused"),
            ("read", "refused"),
        }


async def asked(listener: Harness, method: str = "GET", body: bytes | None = None, **more: str) -> Any:  # noqa: ANN401
    async with listener.wire() as wire:
        await wire.send(handshake(method, body=body, **more))
        return await wire.reply()


REFUSED: dict[str, tuple[int, dict[str, Any]]] = {
    "a page of another origin": (403, {"origin": "https://evil.example"}),
    "a page that may read": (403, {"origin": "https://app.example"}),
    "a page of another site": (403, {"sec_fetch_site": "cross-site"}),
    "a foreign host": (421, {"host": "evil.example"}),
    "no offer": (426, {"upgrade": "", "connection": "", "sec_websocket_key": ""}),
    "an offer of something else": (426, {"upgrade": "h2c"}),
    "two offers": (426, {"upgrade": "websocket, h2c"}),
    "an offer without the option": (426, {"connection": "keep-alive"}),
    "no key": (400, {"sec_websocket_key": ""}),
    "a short key": (400, {"sec_websocket_key": "YWJj"}),
    "another version": (400, {"sec_websocket_version": "8"}),
    "another method": (405, {"method": "POST", "body": b""}),
    "a body": (400, {"body": b"{}"}),
    "a body to come": (400, {"transfer_encoding": "chunked"}),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_no_right_offer_is_answered_as_a_request(tmp_path: Path, name: str) -> None:
    status, more = REFUSED[name]
    async with open_door(tmp_path, origins=["https://app.example"]) as listener:
        reply = await asked(listener, **more)
        assert (reply.status, reply.problem["status"]) == (status, status)
        if status == 426:
            assert reply.headers["upgrade"] == "websocket"
        assert listener.app._load.streams.used == 0


async def test_a_page_of_this_origin_may_open_it(listener: Harness) -> None:
    async with socket(listener.port, origin=f"http://127.0.0.1:{listener.port}") as client:
        assert (await client.start())["type"] == "begin"


@pytest.mark.parametrize("behind", [frame({"type": "start", "resource_id": "r"}), b"GET /healthz HTTP/1.1\r\n"])
async def test_nothing_passes_the_guard_behind_an_offer(listener: Harness, behind: bytes) -> None:
    """What comes before the answer is HTTP, or nothing: else who reads it so would see other requests than we."""
    async with listener.wire() as wire:
        await wire.send(handshake() + behind)
        status, _ = await wire.head()
        assert status == 400
    assert listener.app._load.streams.used == 0


async def test_a_request_that_offers_it_elsewhere_is_answered_as_if_it_did_not(listener: Harness) -> None:
    async with listener.wire() as wire:
        body = json.dumps(packet()).encode()
        fields = {"upgrade": "websocket", "connection": "Upgrade", "sec_websocket_key": "YWJj"}
        await wire.send(handshake("POST", "/v1/packets", body, **fields) + handshake(path="/healthz"))
        assert (await wire.reply()).status == 202
        assert (await wire.reply()).json["status"] == "alive"


async def test_streams_have_their_number_and_other_limits(tmp_path: Path) -> None:
    async with open_door(tmp_path, limits=HttpLimits(max_streams=1)) as listener:
        async with socket(listener.port) as client:
            await client.start()
            reply = await asked(listener)
            assert (reply.status, reply.problem["code"]) == (503, "busy")
            assert "collator_streams 1.0" in listener.metrics.text().decode()
        await until(lambda: listener.app._load.streams.used == 0)
        listener.intake.drain()
        assert (await asked(listener)).problem["code"] == "unavailable"


# Hostile clients.


async def test_who_does_not_read_is_read_no_further_and_closed(tmp_path: Path) -> None:
    """A flood of pings, each of which has an answer: what is held is bounded, and others go on."""
    async with open_door(tmp_path, limits=HttpLimits(write_seconds=1.0)) as listener:
        wire = await connect(listener.port, unread=4096)
        await offered(wire)
        most = index = 0
        flood = frame(b"x" * 125, Opcode.PING) * 10_000
        async with socket(listener.port) as honest:
            await honest.start()
            while wire.unsent() < 2 * len(flood):
                wire.write(flood)
                await honest.binary(b"x")
                await honest.stored(index)
                index += 1
                most = max(most, listener.app._buffer_memory.used)
            await until(lambda: listener.server.connections == 1)
        assert most < 3 * 1024 * 1024
        assert listener.app._buffer_memory.used == 0
        await wire.aclose()


async def test_a_long_message_waits_for_memory_and_is_refused_in_the_end(tmp_path: Path) -> None:
    limits = HttpLimits(max_buffered=200_000, body_seconds=0.2)
    async with open_door(tmp_path, limits=limits) as listener, socket(listener.port) as client:
        await client.start()
        await client.binary(b"x" * 100_000)
        await client.stored(0)
        listener.app._buffer_memory.take("another", 190_000)
        await client.binary(b"x" * 300_000)
        code, _, heard = await client.closed()
        assert (code, heard[-1]["problem"]["code"]) == (1013, "busy")


async def test_outcomes_are_read_no_faster_than_the_client_takes_them(tmp_path: Path) -> None:
    """A reader who stops bounds his own stream only, and misses nothing."""
    async with open_door(tmp_path, limits=HttpLimits(max_streams=1000)) as listener:
        for index in range(40):
            await listener.post(packet(index, payload="x" * 200_000, last=index == 39))
        wire = await connect(listener.port, unread=4096)
        await offered(wire)
        await wire.send(frame({"type": "start", "resource_id": "r", "outcomes": True}))
        await record(listener, *range(40))
        await until(lambda: listener.app._buffer_memory.used > 0)
        assert listener.app._buffer_memory.used < 1024 * 1024
        heard = list[Any]()
        while not heard or heard[-1]["type"] != "end":
            heard.append(json.loads((await read_frame(wire))[1]))
        assert [one["index"] for one in heard if one["type"] == "output"] == [*range(40)]
        await wire.aclose()
