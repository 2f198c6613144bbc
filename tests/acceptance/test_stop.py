"""P7: a stop refuses what is new, finishes or hands back the rest, and ends in time; the next start goes on."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import aiohttp
import pytest

from tests.harness import slow_names
from tests.harness.checker import complaints
from tests.harness.history import History, Packet, payload_of, workload
from tests.harness.sender import Sender, requests
from tests.harness.service import ServiceProcess
from tests.harness.sink import Sink
from tests.harness.store import store_complaints
from tests.harness.wire import Exchange
from tests.wait import until

DRAIN = 10.0
RESOURCES = 150
"""Several times the packets that are in the requests under way, which a stop lets finish."""
JSON = "application/json"


@asynccontextmanager
async def gated(
    home: Path, history: History, *, drain_timeout: float, resources: int = 0
) -> AsyncIterator[tuple[ServiceProcess, Sink, Path]]:
    """A service that has taken so many *resources*, and processes nothing until the file is there; and its receiver."""
    random, host_check = Random(8), home / "gate"
    async with (
        ServiceProcess(home, processor="tests.harness.processors:gated") as service,
        Sink(service.secret) as sink,
        Sender(history, random) as sender,
    ):
        service.environment["GATE"] = str(host_check)
        await service.start(webhook=sink.url, drain_timeout=drain_timeout)
        await sender.send(service.url, requests(random, workload(random, "a", resources=resources)))
        yield service, sink, host_check


async def test_p7_sigterm_under_load_ends_in_time_and_the_next_start_does_the_rest(tmp_path: Path) -> None:
    random, history = Random(7), History()
    packets = workload(random, "a", resources=RESOURCES)
    async with (
        ServiceProcess(tmp_path, processor="tests.harness.processors:slower", concurrency=2) as service,
        Sink(service.secret) as sink,
        Sender(history, random) as sender,
    ):
        await service.start(webhook=sink.url, drain_timeout=DRAIN)
        history.acks.set(150, lambda: service.signal(signal.SIGTERM))
        began = time.monotonic()
        await sender.send(service.url, requests(random, packets))
        assert await service.ended(DRAIN) == 0
        assert time.monotonic() - began < DRAIN
        acknowledged, delivered = len(history.acked), len(sink.ids())
        assert store_complaints(service.data_dir) == []
        await service.start(webhook=sink.url, processor="collator.processor:word_lengths")
        await sender.send(service.url, requests(random, history.unacknowledged()))
        await until(lambda: len(sink.ids()) == RESOURCES)
        await service.stop()
    # The stop came in the middle: some was not taken, and some of what was taken was left for the next start.
    assert 150 <= acknowledged < len(packets)
    assert delivered < RESOURCES
    assert complaints(history, sink.webhooks, at_least=len(packets)) == []
    assert len(sink.webhooks) == RESOURCES  # a stop in good order repeats nothing
    assert store_complaints(service.data_dir) == []


async def test_p7_what_comes_during_the_drain_is_refused_and_what_is_under_way_is_finished(tmp_path: Path) -> None:
    history = History()
    first, late = (Packet(name, 0, payload_of(name, 0), last=True) for name in ("first", "late"))
    history.sending([first, late])
    async with gated(tmp_path, history, drain_timeout=DRAIN) as (service, sink, host_check):
        body = late.as_json()
        stream = Exchange(f"{service.url}/v1/packets", content_type="application/x-ndjson", transfer_encoding="chunked")
        half = Exchange(f"{service.url}/v1/packets", content_type=JSON, content_length=str(len(body)))
        async with stream, half:
            await half.write(body[:10])
            await stream.write(b"%x\r\n%s\n\r\n" % (len(first.as_json()) + 1, first.as_json()))
            await _waiting(service, 1)
            await until(host_check.with_suffix(".called").exists)  # stored is not yet under way
            service.signal(signal.SIGTERM)
            # A stream is summed up: the sender knows from where to go on.
            assert await stream.head() == 503
            summary = json.loads(await stream.body())
            assert summary["code"] == "unavailable"
            assert [summary[name] for name in ("done", "decided_lines", "accepted")] == [True, 1, 1]
            history.answered(first.key, "accepted")
            # A request that had begun is answered.
            await half.write(body[10:])
            assert await half.head() == 503
            assert int(half.fields["retry-after"]) >= 1
            history.answered(late.key, json.loads(await half.body())["code"])
        # Who asks hears of it, a load balancer first of all; what is there can be looked at.
        status, _, problem = await service.get("/readyz")
        assert (status, problem["code"]) == (503, "not_ready")
        assert "the service is stopping" in problem["detail"]
        assert (await service.get("/healthz"))[0] == (await service.get("/v1/resources/first"))[0] == 200
        assert sink.webhooks == []
        host_check.touch()
        assert await service.ended(DRAIN) == 0
    assert [webhook.taken for webhook in sink.webhooks] == [True]
    assert complaints(history, sink.webhooks, at_least=1) == []
    assert store_complaints(service.data_dir) == []


async def test_p7_clients_that_have_sent_half_and_are_silent_hold_up_no_stop(tmp_path: Path) -> None:
    """In every state that a connection can be in; no client closes its side."""
    body = Packet("half", 0, payload_of("half", 0), last=True).as_json()
    started = f"POST /v1/packets HTTP/1.1\r\nhost: localhost\r\ncontent-type: {JSON}\r\n".encode()
    stream = started.replace(JSON.encode(), b"application/x-ndjson") + b"transfer-encoding: chunked\r\n\r\n"
    states = {
        "silent": (b"", b""),
        "idle": (b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n", b" 200 "),
        "half a head": (started, b" 503 "),
        "half a body": (started + b"content-length: %d\r\n\r\n%s" % (len(body), body[:9]), b" 503 "),
        "an idle stream": (stream, b" 503 "),
        "half a line": (stream + b"%x\r\n%s" % (len(body), body[:9]), b" 503 "),
    }
    async with ServiceProcess(tmp_path) as service:
        await service.start(webhook="none", drain_timeout=60)
        connections = []
        for data, _ in states.values():
            reader, writer = await asyncio.open_connection("127.0.0.1", int(service.url.rpartition(":")[2]))
            writer.write(data)
            connections.append((reader, writer))
        assert b" 200 " in await connections[1][0].readuntil(b"\r\n\r\n")  # the others have come too, then
        began = time.monotonic()
        service.signal(signal.SIGTERM)
        answers = [await asyncio.wait_for(reader.read(), 20.0) for reader, _ in connections]
        assert await service.ended() == 0
        assert time.monotonic() - began < 30.0  # a second or two, on a machine that does nothing else; the drain has 60
        for _, writer in connections:
            writer.close()
    for (name, (_, wanted)), answer in zip(states.items(), answers, strict=True):
        assert name == "idle" or (wanted in answer.partition(b"\r\n")[0] and bool(answer) == bool(wanted)), name


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_p7_a_second_signal_ends_the_drain_at_once(tmp_path: Path, number: signal.Signals) -> None:
    history = History()
    async with gated(tmp_path, history, drain_timeout=60, resources=10) as (service, sink, host_check):
        service.signal(number)
        await until(lambda: "event=stopping" in service.log())
        began = time.monotonic()
        service.signal(number)
        await service.ended()
        assert time.monotonic() - began < 30.0  # at once, where the drain has 60 s
        assert sink.webhooks == []
        host_check.touch()
        await service.start(webhook=sink.url)
        await until(lambda: len(sink.ids()) == 10)
        await service.stop()
    assert complaints(history, sink.webhooks, at_least=10) == []
    assert store_complaints(service.data_dir) == []


async def test_p7_two_signals_at_once_are_one_order_to_stop(tmp_path: Path) -> None:
    history = History()
    async with gated(tmp_path, history, drain_timeout=60, resources=3) as (service, _, host_check):
        service.signal(signal.SIGTERM)
        service.signal(signal.SIGINT)  # another, as two of the same may be one already
        await until(lambda: "event=stopping" in service.log())
        host_check.touch()
        assert await service.ended() == 0
    assert "event=stopped" in service.log()
    assert "stopped before all work was finished" not in service.log()


async def test_p7_a_drain_that_is_out_of_time_hands_back_what_runs(tmp_path: Path) -> None:
    history = History()
    async with gated(tmp_path, history, drain_timeout=1, resources=10) as (service, sink, host_check):
        began = time.monotonic()
        service.signal(signal.SIGTERM)
        assert await service.ended() == 0  # by itself: what runs is held until its end
        assert 0.5 < time.monotonic() - began < 20.0
        host_check.touch()
        await service.start(webhook=sink.url)
        await until(lambda: len(sink.ids()) == 10)
        await service.stop()
    assert complaints(history, sink.webhooks, at_least=10) == []
    assert store_complaints(service.data_dir) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("pool", ["thread", "process"])
async def test_p7_a_service_that_waits_for_an_import_ends_when_it_is_told(
    tmp_path: Path, pool: str, number: signal.Signals
) -> None:
    held = tmp_path / "held"
    held.touch()
    async with ServiceProcess(tmp_path, processor="tests.harness.import_hang:plain", pool=pool) as service:
        service.environment["HELD"] = str(held)
        service.spawn()
        await until((tmp_path / "held.begun").exists)
        service.signal(number)
        assert await service.ended(DRAIN) == 0
        assert "stopped before serving" in service.log()


async def test_p7_a_name_server_that_does_not_answer_does_not_hold_up_the_end(tmp_path: Path) -> None:
    packet = {"resource_id": "a", "index": 0, "payload": "abc", "last": True}
    async with ServiceProcess(tmp_path, webhook=f"http://{slow_names.NAME}/") as service:
        await service.start(under=(sys.executable, "-m", slow_names.__name__), drain_timeout=1)
        async with aiohttp.ClientSession() as session, session.post(service.url + "/v1/packets", json=packet) as answer:
            assert answer.status == 202
        await until(lambda: slow_names.ASKED in service.log())
        began = time.monotonic()
        service.signal(signal.SIGTERM)
        assert await service.ended() == 0
        assert time.monotonic() - began < 30.0  # the look-up takes 60 s
        assert "event=stopped" in service.log()


async def _waiting(service: ServiceProcess, count: int) -> None:
    """Wait until *count* packets are stored."""
    while f"collator_packets_waiting {count}.0" not in (await service.get("/metrics"))[2]:
        pass
