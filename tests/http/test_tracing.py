"""Traces: from the sender to the webhook, through the user's code, whatever way the packets came."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode
from websockets.asyncio.client import connect

from collator import Client, Collator, Partial, SyncClient
from collator.service import open_service
from collator.settings import from_keywords
from tests import receiver as scripted
from tests.harness.spans import Spans, exported, own, parent, seconds
from tests.http.listener import ndjson, packet
from tests.http.service import Running, running
from tests.http.sockets import Socket
from tests.wait import until

pytestmark = pytest.mark.anyio

TRACE, SENDER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SENT = {"traceparent": f"00-{TRACE}-{SENDER}-01", "tracestate": "vendor=x1"}
UNSAMPLED = {"traceparent": f"00-{TRACE}-{SENDER}-00"}


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spans]:
    with exported(monkeypatch) as found:
        yield found


def trace_ids(*spans: ReadableSpan) -> set[str]:
    return {f"{span.context.trace_id:032x}" for span in spans if span.context}


async def send(service: Running, way: str, *packets: dict[str, Any], **fields: str) -> None:
    if way == "stream":
        reply = await service.ask("POST", "/v1/packets", ndjson(*packets), media_type="application/x-ndjson", **fields)
    elif way == "array":
        reply = await service.ask("POST", "/v1/packets", [*packets], **fields)
    elif way == "path":
        (one,) = packets
        path = f"/v1/resources/{one['resource_id']}/packets/{one['index']}?last=true"
        reply = await service.ask("PUT", path, one["payload"], **fields)
    else:
        (one,) = packets
        reply = await service.ask("POST", "/v1/packets", one, **fields)
    assert reply.status in {200, 202}, reply


@pytest.mark.parametrize("way", ["single", "path", "array", "stream"])
async def test_a_trace_leads_from_the_sender_to_the_webhook(tmp_path: Path, spans: Spans, way: str) -> None:
    def shout(payload: str) -> str:
        with trace.get_tracer("theirs", tracer_provider=spans.provider).start_as_current_span("lookup"):
            return payload.upper()

    async with running(tmp_path, processor=shout, tracing=True) as service:
        await send(service, way, packet(0, "call", "x", last=True), **SENT)
        (webhook,) = await service.receiver.wait(1)
        delivered = await spans.one("deliver default")
    sent, processed, lookup = [await spans.one(name) for name in ("send", "process", "lookup")]
    assert trace_ids(sent, processed, lookup, delivered) == {TRACE}
    assert parent(sent) == int(SENDER, 16)
    assert parent(processed) == own(sent) == parent(delivered)
    assert parent(lookup) == own(processed)
    assert [link.context.span_id for link in delivered.links] == [own(processed)]
    assert webhook.headers["traceparent"] == f"00-{TRACE}-{own(delivered):016x}-01"
    assert webhook.headers["tracestate"] == "vendor=x1"
    assert [span.kind for span in (sent, processed, delivered)] == [
        SpanKind.PRODUCER,
        SpanKind.CONSUMER,
        SpanKind.CLIENT,
    ]
    assert dict(processed.attributes or {}) == {
        "messaging.system": "collator",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "collator.resource.id": "call",
        "collator.packet.index": 0,
        "collator.attempt": 1,
    }
    assert (delivered.attributes or {})["http.response.status_code"] == 204
    assert {span.status.status_code for span in (sent, processed, delivered)} == {StatusCode.UNSET}


async def test_packets_of_several_traces_meet_in_the_links_of_one_webhook(tmp_path: Path, spans: Spans) -> None:
    other = "1" * 32
    async with running(tmp_path, tracing=True) as service:
        await send(service, "single", packet(0, "call", "x"), **SENT)
        await send(service, "single", packet(1, "call", "y"), traceparent=f"00-{other}-{SENDER}-01")
        await send(service, "single", packet(2, "call", "z", last=True))
        delivered = await spans.one("deliver default")
    attempts = spans.named("process")
    assert trace_ids(delivered) == {TRACE}
    assert len(trace_ids(*attempts)) == 3
    assert {TRACE, other} < trace_ids(*attempts)
    assert {link.context.span_id for link in delivered.links} == {*map(own, attempts)}
    senders = {own(span) for span in spans.named("send")}
    assert {parent(span) for span in attempts} == senders


async def test_many_single_packets_of_one_read_keep_their_own_traces(tmp_path: Path, spans: Spans) -> None:
    """Those of one turn of the event loop share a call of the intake, and a head that has come before no parser."""
    plain = [packet(index, "plain", 0) for index in range(3)]
    async with running(tmp_path, tracing=True) as service:
        for one in [*plain, packet(0, "call", 0)]:
            await send(service, "single", one, **({} if one in plain else SENT))
        await service.stored(waiting=0)
        await until(lambda: len(spans.named("process")) == 4)
    assert [parent(span) for span in spans.named("send")] == [None, None, None, int(SENDER, 16)]
    assert len(trace_ids(*spans.named("process"))) == 4


async def test_streams_over_websocket_that_share_a_call_keep_their_own_traces(tmp_path: Path, spans: Spans) -> None:
    parents = {f"{number:032x}" for number in range(1, 5)}
    async with running(tmp_path, tracing=True) as service, AsyncExitStack() as stack:
        url = service.service.url.replace("http", "ws") + "/v1/stream"
        opened = list[Socket]()
        for trace_id in sorted(parents):
            fields = {"traceparent": f"00-{trace_id}-{SENDER}-01"}
            opened.append(Socket(await stack.enter_async_context(connect(url, additional_headers=fields, proxy=None))))
            await opened[-1].start(trace_id)
        for socket_ in opened:
            await socket_.say("packet", index=0, payload="x", last=True)
        await until(lambda: len(spans.named("deliver default")) == len(parents))
    for name in ("send", "process", "deliver default"):
        assert trace_ids(*spans.named(name)) == parents


async def test_what_is_not_sampled_goes_on_unsampled(tmp_path: Path, spans: Spans) -> None:
    async with running(tmp_path, tracing=True) as service:
        await send(service, "single", packet(0, "call", "x", last=True), **UNSAMPLED)
        (webhook,) = await service.receiver.wait(1)
    version, trace_id, span_id, flags = webhook.headers["traceparent"].split("-")
    assert (version, trace_id, flags) == ("00", TRACE, "00")
    assert span_id != SENDER
    assert spans.named("send") + spans.named("process") == []


@pytest.mark.parametrize("hide", [False, True])
async def test_failures_have_the_reason_that_is_recorded(tmp_path: Path, spans: Spans, hide: bool) -> None:
    calls = list[str]()

    async def fragile(payload: str) -> AsyncIterator[object]:
        with trace.get_tracer("theirs", tracer_provider=spans.provider).start_as_current_span("model"):
            calls.append(payload)
            yield Partial("…")
            if len(calls) == 1:
                raise LookupError(f"cannot say {payload}")
            yield payload

    async with running(tmp_path, processor=fragile, tracing=True, hide_payloads=hide) as service:
        await send(service, "single", packet(0, "call", "secret", last=True), **SENT)

        def delivered() -> list[ReadableSpan]:
            service.clock.advance(1)  # the second attempt is due soon after the first is recorded
            return spans.named("deliver default")

        await until(delivered)
        (webhook,) = delivered()
    first, second = spans.named("process")
    assert (first.status.status_code, second.status.status_code) == (StatusCode.ERROR, StatusCode.UNSET)
    assert ("secret" in (first.status.description or "")) is not hide
    assert "LookupError" in (first.status.description or "")
    assert [(span.attributes or {})["collator.attempt"] for span in (first, second)] == [1, 2]
    assert [parent(span) for span in spans.named("model")] == [own(first), own(second)]
    assert [link.context.span_id for link in webhook.links] == [own(first), own(second)]


async def test_the_request_to_a_service_is_in_the_trace_of_its_call(tmp_path: Path, spans: Spans) -> None:
    answer = scripted.reply(200, body=b'"ok"')
    async with (
        scripted.Receiver(answer) as called,
        Collator(tmp_path, processor=called.url, tracing=True) as collator,
    ):
        await collator.send([packet(0, "call", "x", last=True)])
        await collator.result("call", timeout=5)
        processed = await spans.one("process")
    (request,) = called.requests
    (trace_id,) = trace_ids(processed)
    assert request.headers["traceparent"] == f"00-{trace_id}-{own(processed):016x}-03"


async def test_a_caller_with_a_span_is_the_parent_by_every_client(tmp_path: Path, spans: Spans) -> None:
    callers = list[int]()

    @contextmanager
    def calling() -> Iterator[None]:
        tracer = trace.get_tracer("theirs", tracer_provider=spans.provider)
        with tracer.start_as_current_span("caller") as caller:
            callers.append(caller.get_span_context().span_id)
            yield

    async with running(tmp_path / "service", tracing=True) as service:
        url = service.service.url
        with calling():
            async with Client(url) as client:
                await client.send([packet(0, "a", "x", last=True)])

        def from_a_thread() -> None:
            with calling(), SyncClient(url) as client:
                client.send([packet(0, "b", "x", last=True)])

        await to_thread.run_sync(from_a_thread)
    async with Collator(tmp_path / "library", processor=len, tracing=True) as collator:
        with calling():
            await collator.send([packet(0, "c", "x", last=True)])
        await collator.result("c", timeout=5)
    assert [parent(span) for span in spans.named("send")] == callers


async def test_an_exporter_that_is_down_costs_neither_packets_nor_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
        async with running(tmp_path, tracing=True) as service:
            await send(service, "array", *[packet(index, "call", index) for index in range(20)])
            await send(service, "single", packet(20, "call", 20, last=True), **SENT)
            (webhook,) = await service.receiver.wait(1)
            began = time.monotonic()
        assert len(json.loads(webhook.body)["data"]["outputs"]) == 21
    assert time.monotonic() - began < 5, "the SDK alone waits for 10 s and more"
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider), "the program's own stays as it was"


async def test_a_call_in_a_process_has_a_span_also_one_that_ends_the_process(tmp_path: Path, spans: Spans) -> None:
    given = {"pool": "process", "concurrency": 1, "processor": "tests.harness.processors:fatal", "tracing": True}
    settings = from_keywords({"data_dir": tmp_path, "webhook": "none", "port": 0, "on_failure": "hold", **given})
    async with open_service(settings) as service, Client(service.url) as client:
        await client.send([packet(index, "call", payload) for index, payload in enumerate(("x", "die", "y"))])
        await until(
            lambda: len({(span.attributes or {})["collator.packet.index"] for span in spans.named("process")}) == 3
        )
    good = [span for span in spans.named("process") if span.status.status_code is StatusCode.UNSET]
    (sent,) = spans.named("send")
    assert {parent(span) for span in spans.named("process")} == {own(sent)}
    assert {(span.attributes or {})["collator.packet.index"] for span in good} == {0, 2}
    assert all(0.002 <= seconds(span) < 10 for span in good)
    (bad, *_) = [span for span in spans.named("process") if span not in good]
    assert "signal 9" in (bad.status.description or "")
