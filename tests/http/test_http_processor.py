"""An HTTP service as the processor, against one that does as its script says: what each answer means (design §5)."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from msgspec.structs import replace

from collator import __version__
from collator.client import Client
from collator.errors import ConfigError
from collator.intake import Intake
from collator.ledgers.sqlite import open_ledger
from collator.messages import Failure, Key, Lease, Output, ResourceReport, Result, Retry, Task
from collator.metrics import Metrics
from collator.packet import Packet
from collator.processor import HttpService, OutcomeFactory, ShapeOptions, Sign, open_processor
from collator.processor.headers import idempotency_key
from collator.rules.resource import LedgerLimits
from collator.service import open_service
from collator.settings import Settings
from collator.states import State
from collator.testing import ManualClock
from collator.workers.local_workers import LocalWorkers
from tests.conformance.steps import outputs
from tests.harness.at_work import at_work
from tests.http.listener import Sender
from tests.receiver import Close, Flood, Hold, Receiver, Request, Reset, Say, Script, Stall, reply
from tests.wait import until

PAYLOAD = b'{ "text":"\xc3\xa4", "n": 1.0 }'
NOW = 1_790_000_000.0
"""The wall clock: 2026-09-21T14:13:20Z."""


def task(*, attempt: int = 1, index: int = 4, resource_id: str = "call-17") -> Task:
    return Task(Key(resource_id, b"g" * 16, index), PAYLOAD, attempt, Lease(9, 9))


async def attempts(*scripts: Script, tasks: int = 1, **options: Any) -> list[Result]:  # noqa: ANN401 - those of Endings
    """The results of so many calls, one after the other, of a service that does as *scripts* say."""
    async with Receiver(*scripts) as receiver:
        return await call(receiver.url, *[task()] * tasks, **options)


async def call(url: str, *tasks: Task, **options: Any) -> list[Result]:  # noqa: ANN401 - as above
    processor = HttpService(url, OutcomeFactory(**{"clock": ManualClock(wall=NOW), "timeout": 10.0, **options}))
    async with processor.calls() as make:
        results = [(await make([one])).result for one in tasks]
    assert all(isinstance(result, Output) or result.fault for result in results)
    return [result if isinstance(result, Output) else replace(result, fault=None) for result in results]


def reason(result: Result) -> str:
    assert not isinstance(result, Output)
    return result.reason


# What is sent.


async def test_the_payload_goes_out_as_it_came_with_a_key_that_is_the_same_on_each_attempt() -> None:
    async with Receiver(reply(200, body=b"1")) as receiver:
        tasks = [task(), task(attempt=2), task(index=5), task(resource_id="call-18")]
        await call(receiver.url, *tasks)
    first, again, *others = receiver.requests
    assert first.line == "POST /hook HTTP/1.1"
    assert first.body == PAYLOAD
    assert first.headers["content-type"] == first.headers["accept"] == "application/json"
    assert first.headers["user-agent"] == f"collator/{__version__}"
    keys = [request.headers["idempotency-key"] for request in (first, again, *others)]
    assert keys[0] == keys[1] == idempotency_key(task().key)
    assert len({*keys}) == 3
    assert receiver.connections == 1


def test_the_key_of_another_generation_is_another() -> None:
    """R11: an id that opens anew is not what it was."""
    assert idempotency_key(Key("a", b"g" * 16, 0)) != idempotency_key(Key("a", b"h" * 16, 0))


# What it answers.


@pytest.mark.parametrize("status", [200, 201, 202, 203, 299])
@pytest.mark.parametrize("body", [b'{"a": [1, null]}', b" 7\r\n", b'"\xc3\xa4"', b"null", b"[]"])
async def test_the_json_of_a_success_is_the_output(status: int, body: bytes) -> None:
    (result,) = await attempts(reply(status, body=body))
    assert isinstance(result, Output)
    assert result.output == body.strip()


@pytest.mark.parametrize("status", [400, 402, 406, 409, 410, 413, 415, 418, 422, 451, 499])
async def test_an_answer_that_blames_the_packet_is_final(status: int) -> None:
    size = f" for a body of {len(PAYLOAD)} bytes" if status == 413 else ""
    assert await attempts(reply(status, body=b"")) == [Failure(Lease(9, 9), f"HTTP {status}{size}")]


@pytest.mark.parametrize("status", [408, 425, 429, 502, 503, 504, 401, 403, 404, 405, 300, 302, 303, 304, 307, 308])
async def test_r27_an_answer_about_the_service_or_the_configuration_uses_up_no_attempt(status: int) -> None:
    assert await attempts(reply(status, body=b""), retries=0) == [
        Retry(Lease(9, 9), f"HTTP {status}", 0.0, counted=False)
    ]


@pytest.mark.parametrize("status", [500, 501, 505, 507, 599])
async def test_every_other_answer_is_tried_again(status: int) -> None:
    (result,) = await attempts(reply(status, body=b""))
    assert isinstance(result, Retry)
    assert (result.reason, 1.0 <= result.delay <= 1.5) == (f"HTTP {status}", True)


async def test_attempts_end_when_they_are_used_up() -> None:
    assert await attempts(reply(500), retries=0) == [Failure(Lease(9, 9), "HTTP 500: ok")]


@pytest.mark.parametrize("status", [500, 507])
@pytest.mark.parametrize("after", ["120", "Mon, 21 Sep 2026 14:15:20 GMT"])
async def test_retry_after_is_honoured(status: int, after: str) -> None:
    (result,) = await attempts(reply(status, f"retry-after: {after}"))
    assert isinstance(result, Retry)
    assert 120.0 <= result.delay <= 132.0


async def test_retry_after_makes_nothing_of_a_final_answer() -> None:
    assert isinstance((await attempts(reply(410, "retry-after: 1")))[0], Failure)


async def test_redirects_are_not_followed() -> None:
    async with Receiver(reply(200, body=b"1")) as target:
        (result,) = await attempts(reply(307, f"location: {target.url}"))
        told = f"HTTP 307 to {target.url}; redirects are not followed"
        assert (reason(result), target.connections) == (told, 0)


async def test_the_reason_for_a_payload_that_is_too_large_has_its_size() -> None:
    assert await attempts(reply(413, body=b"no")) == [
        Failure(Lease(9, 9), f"HTTP 413 for a body of {len(PAYLOAD)} bytes: no")
    ]


async def test_a_shortage_of_this_process_is_waited_for_and_uses_up_no_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lacking = [OSError(errno.EMFILE, "lacking")] * 2

    class Lacking(socket.socket):
        def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - whatever a socket takes
            if lacking and "fileno" not in options:
                raise lacking.pop()
            super().__init__(*arguments, **options)

    async with Receiver(reply(200, body=b"[1]")) as receiver:
        monkeypatch.setattr(socket, "socket", Lacking)
        (result,) = await call(receiver.url, task(), retries=0)
    assert isinstance(result, Output)
    assert not lacking


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"detail": "no\\u0020sound"}', ': {"detail": "no\\u0020sound"}'),
        (b"too\n loud\x1b[31m", ": too loud [31m"),
        (b"<html><title>502</title></html>", ""),
        (b"\xff\xfe", ": \ufffd\ufffd"),
        (b"x" * 5000, ": " + "x" * 199 + "…"),
    ],
)
async def test_what_a_service_says_of_a_failure_is_in_the_reason(body: bytes, said: str) -> None:
    assert await attempts(reply(422, body=body)) == [Failure(Lease(9, 9), "HTTP 422" + said)]


# The type of the answer.


@pytest.mark.parametrize(
    ("media", "body", "output"),
    [
        ("application/json", b" [1]", b"[1]"),
        ("application/json; charset=utf-8", b"42", b"42"),
        ("application/vnd.api+json", b"{}", b"{}"),
        ("text/plain", b"HELLO", b'"HELLO"'),
        ("text/plain; charset=utf-8", b"42", b'"42"'),
        ("Text/Plain; charset=ISO-8859-1", b"\xe4\n", b'"\xc3\xa4\\n"'),
        ("text/plain", b"", b'""'),
    ],
)
async def test_r29_json_is_the_output_and_text_becomes_a_string(media: str, body: bytes, output: bytes) -> None:
    (result,) = await attempts(reply(200, f"content-type: {media}", body=body))
    assert isinstance(result, Output)
    assert result.output == output


@pytest.mark.parametrize(
    ("media", "words"),
    [
        (
            "text/event-stream",
            'output: the service streams (text/event-stream); have it answer at once, often by "stream": false',
        ),
        (
            "application/x-ndjson; charset=utf-8",
            'output: the service streams (application/x-ndjson); have it answer at once, often by "stream": false',
        ),
        ("text/html", "output: the answer is text/html; application/json and text/plain can be used"),
        ("image/png", "output: the answer is image/png; application/json and text/plain can be used"),
    ],
)
async def test_r29_a_stream_and_other_types_are_no_output(media: str, words: str) -> None:
    (result,) = await attempts(reply(200, f"content-type: {media}", body=b'{"a": 1}'), retries=0)
    assert result == Failure(Lease(9, 9), words)


async def test_r29_text_that_is_not_what_it_says_is_no_output() -> None:
    first, second = await attempts(
        reply(200, "content-type: text/plain", body=b"\xff"),
        reply(200, "content-type: text/plain; charset=hex", body=b"00"),
        tasks=2,
    )
    assert reason(first) == "output: the text is not valid UTF-8"
    assert reason(second) == "output: the text is not valid HEX"


# Answers that cannot be used.


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "output: the answer is empty"),
        (b" \r\n", "output: the answer is empty"),
        (b"<html>", "output: not JSON: "),
        (b'{"a": 1} trailing', "output: not JSON: "),
        (b'{"a": ', "output: not JSON: "),
        (b"NaN", "output: not JSON: "),
        (b'"\xff"', "output: not valid UTF-8 (byte 1)"),
        (b"[" * 5000 + b"]" * 5000, "output: nested deeper than 128 levels"),
    ],
)
async def test_garbage_is_a_failed_attempt(body: bytes, words: str) -> None:
    (result,) = await attempts(reply(200, body=body))
    assert isinstance(result, Retry)
    assert result.reason.startswith(words)


async def test_r19_an_answer_may_have_max_output_bytes_and_no_more() -> None:
    first, second = await attempts(reply(200, body=b"1" * 100), reply(200, body=b"1" * 101), tasks=2, max_output=100)
    assert isinstance(first, Output)
    assert reason(second) == "output: more than 100 bytes (max_output)"


async def test_an_answer_without_end_is_read_no_further_than_the_largest_output() -> None:
    head = Say(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n[")
    async with Receiver((head, Flood(b"1," * 32_768))) as receiver:
        (result,) = await call(receiver.url, task(), max_output=100_000)
        assert reason(result) == "output: more than 100000 bytes (max_output)"
        await until(lambda: receiver.open == 0)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            (Say(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n[1"), Close()),
            "HTTP 200, but the body of the answer is incomplete",
        ),
        ((Say(b"220 mail.example.org ESMTP\r\n\r\n"), Close()), "the answer is not HTTP"),
    ],
)
async def test_half_an_answer_is_none(script: Script, words: str) -> None:
    assert [reason(one) for one in await attempts(script, retries=0)] == [words]


@pytest.mark.parametrize(
    ("script", "words"),
    [((Close(),), "connection closed before the answer"), ((Reset(),), "connection reset by peer")],
)
async def test_r27_a_connection_that_breaks_before_the_answer_uses_up_no_attempt(script: Script, words: str) -> None:
    assert await attempts(script, retries=0) == [Retry(Lease(9, 9), words, 0.0, counted=False)]


async def test_r27_a_service_that_is_not_there_uses_up_no_attempt(free_tcp_port: int) -> None:
    (result,) = await call(f"http://127.0.0.1:{free_tcp_port}/", task(), retries=0)
    assert result == Retry(Lease(9, 9), "connection refused", 0.0, counted=False)


async def test_a_service_that_does_not_answer_in_time_is_tried_again() -> None:
    (result,) = await attempts((Stall(),), timeout=0.1)
    assert isinstance(result, Retry)
    assert result.reason == "timed out after 0.1 s"


async def test_a_second_answer_to_one_request_is_not_taken_for_that_to_the_next() -> None:
    twice = (*reply(200, body=b"1"), *reply(200, body=b"666"))
    first, second = await attempts(twice, reply(200, body=b"2"), tasks=2)
    assert isinstance(first, Output)
    assert isinstance(second, Output)
    assert (first.output, second.output) == (b"1", b"2")


# Options that make no sense with it.


async def test_r27_after_a_refusal_no_connection_stands_idle() -> None:
    """A service that counts connections would refuse for as long as they are there."""
    async with Receiver(reply(200, body=b"1"), reply(200, body=b"1"), reply(503), reply(200, body=b"1")) as receiver:
        service = HttpService(receiver.url)
        async with service.calls() as call:
            await asyncio.gather(call([task()]), call([task(index=5)]))
            assert (receiver.open, receiver.connections) == (2, 2)
            assert (await call([task()])).ending.sign is Sign.OVERLOADED
            await until(lambda: receiver.open == 0)
            await call([task()])
            assert receiver.connections == 3


def test_processes_and_batches_are_for_functions() -> None:
    with pytest.raises(ConfigError, match="works only with functions; an HTTP service needs no pool") as pool:
        open_processor("http://127.0.0.1:1/?key=hunter2", pool="process")
    with pytest.raises(ConfigError, match="8 works only with functions") as batch:
        open_processor("https://me:hunter2@example.org/ocr", batch=8)
    assert "hunter2" not in pool.value.detail + batch.value.detail


# Under the workers, on the ledger.


class House:
    """A ledger, and workers that calls a service."""

    def __init__(self, ledger: Any, url: str, clock: ManualClock) -> None:  # noqa: ANN401 - the one on SQLite
        self.ledger, self.clock, self.outbox, self.metrics = ledger, clock, Sender(), Metrics()
        self.outbox.places = 9
        self.workers = LocalWorkers(
            ledger, HttpService(url, OutcomeFactory(clock=clock)), self.outbox, metrics=self.metrics, sweep=0.01
        )
        self.intake = Intake(ledger, self.workers, self.outbox, metrics=self.metrics)

    async def send(self, resource_id: str, *, times: int = 1) -> None:
        for _ in range(times):
            await self.intake.accept([Packet(resource_id, 0, msgspec.Raw(PAYLOAD), last=True)])

    async def ended(self, resource_id: str) -> ResourceReport:
        await until(lambda: resource_id in {delivery.resource_id for delivery in self.outbox.deliveries})
        return await self.ledger.resource(resource_id)  # type: ignore[no-any-return]

    def counted(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def house(data_dir: Path, url: str) -> AsyncIterator[House]:
    clock = ManualClock()
    ledger = await open_ledger(data_dir, ledger_limits=LedgerLimits(), clock=clock, route=lambda _: ["default"])
    built = House(ledger, url, clock)
    async with aclosing(ledger), at_work(built.workers):
        yield built


async def test_a_failed_call_is_made_again_with_the_same_key(tmp_path: Path) -> None:
    async with Receiver(reply(503), reply(200, body=b"1")) as receiver, house(tmp_path, receiver.url) as it:
        await it.send("a")
        await until(lambda: it.counted("collator_processor_attempts_total", result="returned") == 1)
        it.clock.advance(2.0)
        assert (await it.ended("a")).state is State.COLLATED
        keys = [request.headers["idempotency-key"] for request in receiver.requests]
        assert (len(keys), keys[0]) == (2, keys[1])


async def test_a_packet_that_is_sent_twice_is_one_call(tmp_path: Path) -> None:
    """R5: a duplicate is harmless."""
    async with Receiver(reply(200, body=b"1")) as receiver, house(tmp_path, receiver.url) as it:
        await it.send("a", times=3)
        assert (await it.ended("a")).state is State.COLLATED
        await it.send("a")
        assert len(receiver.requests) == 1


async def test_p2_an_answer_that_comes_when_the_lease_is_lost_changes_nothing(tmp_path: Path) -> None:
    late = anyio.Event()
    scripts = (Hold(late), *reply(200, body=b'"late"')), reply(200, body=b'"right"')
    async with Receiver(*scripts) as receiver, house(tmp_path, receiver.url) as it:
        await it.send("a")
        await until(lambda: receiver.requests)
        it.clock.advance(31.0)  # the lease ends, the call goes on
        assert (await it.ended("a")).done == 1
        late.set()
        await until(
            lambda: (
                sum(it.counted("collator_outcomes_dropped_total", reason=reason) for reason in ("lost", "closed")) == 1
            )
        )
        assert await outputs(it.ledger, "a") == [(0, b'"right"')]
        assert len(it.outbox.deliveries) == 1
        keys = {request.headers["idempotency-key"] for request in receiver.requests}
        assert len(keys) == 1


# What settings shape.


async def shaped(shape: ShapeOptions, answer: Script, *tasks: Task) -> tuple[list[Result], list[Request]]:
    """The results of a service that answers *answer*, and the requests that it got."""
    async with Receiver(answer) as receiver:
        processor = HttpService(
            receiver.url, OutcomeFactory(clock=ManualClock(wall=NOW), timeout=10.0, max_output=64), shape=shape
        )
        async with processor.calls() as make:
            return [(await make([one])).result for one in tasks or [task()]], receiver.requests


async def test_r29_every_call_says_which_packet_and_attempt_it_is() -> None:
    _, (request,) = await shaped(ShapeOptions(), reply(200, body=b"1"), task(attempt=3, resource_id="50 %/\u00e4"))
    assert {name: value for name, value in request.headers.items() if name.startswith("collator-")} == {
        "collator-resource-id": "50%20%25/%C3%A4",
        "collator-index": "4",
        "collator-attempt": "3",
    }


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_r29_the_method_is_that_of_the_settings(method: str) -> None:
    (result,), (request,) = await shaped(ShapeOptions(method=method), reply(200, body=b"1"))
    assert isinstance(result, Output)
    assert request.line == f"{method} /hook HTTP/1.1"


async def test_r29_the_template_goes_around_the_payload_as_it_came() -> None:
    shape = ShapeOptions(request='{"id": "{{resource_id}}", "in": "{{payload}}", "n": ["{{index}}", "{{attempt}}"]}')
    _, (request,) = await shaped(shape, reply(200, body=b"1"))
    assert request.body == b'{"id": "call-17", "in": ' + PAYLOAD + b', "n": [4, 1]}'
    assert request.headers["content-length"] == str(len(request.body))


async def test_r29_a_payload_that_lacks_what_the_template_wants_is_not_sent() -> None:
    (result,), requests = await shaped(ShapeOptions(request='"{{payload/speech}}"'), reply(200, body=b"1"))
    assert isinstance(result, Failure)
    assert (
        result.reason
        == "processor_request: the payload has nothing at /speech: the payload is an object with 'text', 'n'"
    )
    assert result.fault is not None
    assert (result.fault.kind, result.fault.label) == (
        "processor_request: the payload has nothing at /speech",
        "exception",
    )
    assert not requests


async def test_a_request_that_cannot_be_made_says_nothing_of_the_service() -> None:
    processor = HttpService("http://127.0.0.1:9/", shape=ShapeOptions(request='"{{payload/speech}}"'))
    async with processor.calls() as make:
        assert (await make([task()])).ending.sign is Sign.UNSENT
    async with Receiver(reply(200, body=b"1")) as receiver:
        processor = HttpService(receiver.url, shape=ShapeOptions(output="/a"))
        async with processor.calls() as make:
            assert (await make([task()])).ending.sign is Sign.ANSWERED


@pytest.mark.parametrize("status", [401, 422, 500, 503])
async def test_a_service_that_repeats_a_secret_brings_it_into_no_reason(tmp_path: Path, status: int) -> None:
    path = tmp_path / "headers"
    path.write_text("Authorization: Bearer NEVERSHOWN\nX-Key: NEVERSHOWN2\nX-Version: 2\nAccept: application/json\n")
    path.chmod(0o600)
    said = b"version 2 of application/json, key NEVERSHOWN2, token NEVERSHOWN, query SHOWNNEVER" + 20 * b" NEVERSHOWN"
    async with Receiver(reply(status, "content-type: text/plain", body=said)) as receiver:
        processor = HttpService(f"{receiver.url}?key=SHOWNNEVER", shape=ShapeOptions(headers_file=path))
        async with processor.calls() as make:
            told = (await make([task()])).ending.reason
    assert told.startswith(f"HTTP {status}: version 2 of application/json, key ***, token ***, query *** ***")
    assert "NEV" not in told


@pytest.mark.parametrize(("keep_alive", "connections"), [(5.0, 1), (0.0, 3)])
async def test_a_connection_is_kept_for_as_long_as_the_settings_say(keep_alive: float, connections: int) -> None:
    async with Receiver(reply(200, body=b"1")) as receiver:
        processor = HttpService(receiver.url, keep_alive=keep_alive)
        async with processor.calls() as make:
            for _ in range(3):
                await make([task()])
            await until(lambda: receiver.open == (1 if keep_alive else 0))
        assert receiver.connections == connections


async def test_a_service_that_repeats_the_password_of_its_address_brings_it_into_no_reason() -> None:
    said = b"no such user: me, NEVER SHOWN, NEVER%20SHOWN, bWU6TkVWRVIgU0hPV04="
    async with Receiver(reply(403, "content-type: text/plain", body=said)) as receiver:
        processor = HttpService(receiver.url.replace("http://", "http://me:NEVER%20SHOWN@"))
        async with processor.calls() as make:
            assert (await make([task()])).ending.reason == "HTTP 403: no such user: me, ***, ***, ***"


async def test_an_output_is_as_the_service_gave_it(tmp_path: Path) -> None:
    path = tmp_path / "headers"
    path.write_text("X-Key: NEVERSHOWN\n")
    path.chmod(0o600)
    (result,), _ = await shaped(ShapeOptions(headers_file=path), reply(200, body=b'"NEVERSHOWN"'))
    assert isinstance(result, Output)
    assert result.output == b'"NEVERSHOWN"'


async def test_r29_the_output_is_where_the_pointer_says_byte_for_byte() -> None:
    (result,), _ = await shaped(
        ShapeOptions(output="/choices/0/text"), reply(200, body=b'{"choices": [{"text":  {"a" : 1e2} }]}')
    )
    assert isinstance(result, Output)
    assert result.output == b'{"a" : 1e2}'


async def test_r29_a_pointer_that_finds_nothing_fails_the_attempt_and_says_what_was_there() -> None:
    (result,), _ = await shaped(ShapeOptions(output="/choices/0"), reply(200, body=b'{"error": "no credit"}'))
    assert isinstance(result, Retry)
    assert reason(result) == ("output: the answer has nothing at /choices/0: the answer is an object with 'error'")


@pytest.mark.parametrize("body", [b"{", b"text", b'{"a": 1} x'])
async def test_r29_an_answer_that_is_no_json_has_nothing_to_point_to(body: bytes) -> None:
    (result,), _ = await shaped(ShapeOptions(output="/a"), reply(200, body=body))
    assert reason(result).startswith("output: not JSON: ")


async def test_r29_the_headers_of_the_file_are_sent(tmp_path: Path) -> None:
    path = tmp_path / "headers"
    path.write_text("X-API-Key: k\u00e4se\nAccept: application/vnd.model+json\n", "utf-8")
    _, (request,) = await shaped(ShapeOptions(headers_file=path), reply(200, body=b"1"))
    assert request.headers["x-api-key"].encode("latin-1").decode() == "k\u00e4se"
    assert request.headers["accept"] == "application/vnd.model+json"


async def test_r29_the_metadata_of_a_resource_reaches_the_service_from_its_packet(tmp_path: Path) -> None:
    """From the wire to the request, through a service whose template asks for it."""
    async with Receiver(reply(200, "content-type: application/json", body=b"1")) as receiver:
        settings = Settings(
            processor=receiver.url,
            processor_request='{"in": "{{payload}}", "language": "{{metadata/language}}"}',
            webhook="none",
            port=0,
            data_dir=tmp_path,
        )
        async with open_service(settings) as opened, Client(opened.url) as client:
            packet = {"resource_id": "r", "index": 0, "payload": "ja", "last": True, "metadata": {"language": "de"}}
            await client.send([packet])
            await client.result("r", timeout=20.0)
    (request,) = receiver.requests
    assert request.body == b'{"in": "ja", "language": "de"}'
