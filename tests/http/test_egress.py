"""One POST against a receiver that misbehaves in every way: the limits of R22, and the words for what went wrong."""

from __future__ import annotations

import gzip
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio
import pytest
from msgspec.structs import replace

from collator.egress import MAX_ANSWER, Answer, Egress, NoAnswer
from tests.receiver import Close, Flood, Hold, Receiver, Reset, Say, Script, Stall, reply
from tests.wait import until

pytestmark = pytest.mark.anyio

BODY = b'{"type":"resource.collated"}'
HEADERS = {"content-type": "application/json", "webhook-id": "msg_1"}
HEAD = b"HTTP/1.1 200 OK\r\n"
SHORT = 0.5
"""Seconds after which a request gives up that is meant to."""
LONG = 20.0
"""Seconds that no request in these tests takes."""


@pytest.fixture
async def egress() -> AsyncIterator[Egress]:
    egress = Egress()
    yield egress
    await egress.aclose()


def resolve(monkeypatch: pytest.MonkeyPatch, find: Callable[[str], list[str]]) -> None:
    """Have names looked up by *find*, in the thread that asks."""

    def getaddrinfo(host: str, port: int, **_options: object) -> list[tuple[object, ...]]:
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in find(host)
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


async def post(egress: Egress, receiver: Receiver, *, timeout: float = LONG) -> Answer | NoAnswer:
    """Send a request; the answer without what is kept of a body, which is told in tests of the reader."""
    with anyio.fail_after(LONG / 2):
        answer = await egress.send(receiver.url, HEADERS, BODY, timeout=timeout)
    return replace(answer, beginning=b"", size=0, media="", coding="") if isinstance(answer, Answer) else answer


async def test_what_is_sent_arrives_as_it_is(egress: Egress) -> None:
    async with Receiver() as receiver:
        assert await post(egress, receiver) == Answer(200)
        (request,) = receiver.requests
    assert request.line == "POST /hook HTTP/1.1"
    assert request.body == BODY
    assert HEADERS.items() <= request.headers.items()
    assert request.headers["content-length"] == str(len(BODY))
    assert "cookie" not in request.headers


@pytest.mark.parametrize("size", [0, 1024 * 1024, 1024 * 1024 + 1, 8 * 1024 * 1024])
async def test_a_body_of_any_size_arrives(egress: Egress, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    async with Receiver() as receiver:
        assert await egress.send(receiver.url, HEADERS, body, timeout=LONG) == Answer(200)
        assert receiver.requests[0].body == body


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299, 304, 400, 404, 410, 429, 500, 502, 503, 504, 599])
async def test_every_status_is_told_as_it_came(egress: Egress, status: int) -> None:
    body = b"" if status in (204, 304) else b"ok"
    async with Receiver(reply(status, body=body)) as receiver:
        assert await post(egress, receiver) == Answer(status)


async def test_a_receiver_that_has_moved_is_found_by_the_next_attempt(
    egress: Egress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a container does that starts anew: its name stays, its address does not."""
    addresses = ["127.0.0.3"]
    resolve(monkeypatch, lambda _host: addresses)
    async with Receiver() as receiver:
        url = receiver.url.replace("127.0.0.1", "receiver.test")
        assert await egress.send(url, HEADERS, BODY, timeout=LONG) == NoAnswer("connection refused", reached=False)
        addresses[:] = ["127.0.0.1"]
        assert await egress.send(url, HEADERS, BODY, timeout=LONG) == Answer(200)


async def test_r22_retry_after_is_told_as_it_came(egress: Egress) -> None:
    async with Receiver(reply(503, "rEtRy-AfTeR: Sun, 06 Nov 1994 08:49:37 GMT")) as receiver:
        assert await post(egress, receiver) == Answer(503, "Sun, 06 Nov 1994 08:49:37 GMT")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_r22_a_redirect_is_an_answer_and_is_not_followed(egress: Egress, status: int) -> None:
    async with Receiver() as target, Receiver(reply(status, f"location: {target.url}")) as receiver:
        assert await post(egress, receiver) == Answer(status, location=target.url)
        assert target.connections == 0


async def test_a_cookie_is_not_given_back(egress: Egress) -> None:
    async with Receiver(reply(200, "set-cookie: a=b")) as receiver:
        await post(egress, receiver)
        await post(egress, receiver)
        assert "cookie" not in receiver.requests[1].headers


async def test_interim_answers_are_passed_over(egress: Egress) -> None:
    interim = Say(b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n")
    async with Receiver((Say(b"HTTP/1.1 100 Continue\r\n\r\n"), interim, *reply(202))) as receiver:
        assert await post(egress, receiver) == Answer(202)


WHOLE: dict[str, Script] = {
    "no body": reply(200, body=b""),
    "a small body": reply(200),
    "the largest body that is read": reply(200, body=b"x" * (MAX_ANSWER - 1)),
    "chunks": (Say(HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),),
    "in pieces": (Say(HEAD), Say(b"content-length: 2\r\n\r\no"), Say(b"k")),
}


@pytest.mark.parametrize("script", WHOLE.values(), ids=WHOLE.keys())
async def test_a_connection_whose_answer_was_read_whole_is_used_again(egress: Egress, script: Script) -> None:
    async with Receiver(script) as receiver:
        for _ in range(3):
            assert await post(egress, receiver) == Answer(200)
        assert [request.connection for request in receiver.requests] == [1, 1, 1]


async def test_requests_at_the_same_time_have_a_connection_each_and_those_after_them_use_these(egress: Egress) -> None:
    host_check = anyio.Event()
    async with Receiver((Hold(host_check), *reply(200))) as receiver:
        for _ in range(2):
            async with anyio.create_task_group() as group:
                for _ in range(5):
                    group.start_soon(post, egress, receiver)
                await until(lambda: len(receiver.requests) % 5 == 0 and receiver.requests)
                host_check.set()
        assert len(receiver.requests) == 10
        assert receiver.connections == 5


async def test_an_answer_that_ends_with_its_connection_is_whole(egress: Egress) -> None:
    script = (Say(HEAD + b"connection: close\r\n\r\nok"), Close())
    async with Receiver(script) as receiver:
        assert await post(egress, receiver) == Answer(200)
        assert await post(egress, receiver) == Answer(200)
        assert receiver.connections == 2


LONGER: dict[str, Script] = {
    "1 GB that is announced": (Say(HEAD + b"content-length: 1000000000\r\n\r\n"), Flood(b"x" * 65536)),
    "endless chunks": (Say(HEAD + b"transfer-encoding: chunked\r\n\r\n"), Flood(b"1000\r\n" + b"x" * 4096 + b"\r\n")),
    "until the connection ends": (Say(HEAD + b"\r\n"), Flood(b"x" * 65536)),
}


@pytest.mark.parametrize("script", LONGER.values(), ids=LONGER.keys())
async def test_r22_of_a_long_answer_the_beginning_is_read_and_the_connection_closed(
    egress: Egress, script: Script
) -> None:
    async with Receiver(script) as receiver:
        assert await post(egress, receiver) == Answer(200)
        await until(lambda: not receiver.open)
        # What the two kernels hold between them, and not a gigabyte.
        assert receiver.flooded < 32 * 1024 * 1024


async def test_r22_an_answer_is_not_decoded(egress: Egress) -> None:
    bomb = gzip.compress(bytes(32 * 1024 * 1024))  # 32 KiB as it travels
    async with Receiver(reply(200, "content-encoding: gzip", body=bomb)) as receiver:
        assert await post(egress, receiver) == Answer(200)
        assert await post(egress, receiver) == Answer(200)
        assert receiver.connections == 1  # read whole, as so many bytes


LATE = NoAnswer("timed out after 0.5 s")
ENDLESS = NoAnswer("HTTP 200, but the body of the answer did not end within 0.5 s")
SLOW: dict[str, tuple[Script, Answer | NoAnswer]] = {
    "no answer": ((Stall(),), LATE),
    "no end of the head": ((Say(b"HTTP/1.1 200 OK\r\nx: "), Stall()), LATE),
    "no end of an interim answer": ((Say(b"HTTP/1.1 100 Continue\r\n\r\n"), Stall()), LATE),
    "no end of the body": ((Say(HEAD + b"content-length: 5\r\n\r\nhal"), Stall()), ENDLESS),
    "no end of the chunks": ((Say(HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\nok\r\n"), Stall()), ENDLESS),
    "no end of what says no": (
        (
            Say(b"HTTP/1.1 429 No\r\nretry-after:2\r\ncontent-type:text/html\r\ncontent-length:9\r\n\r\nslow"),
            Stall(),
        ),
        Answer(429, "2", excerpt="slow", complete=False),
    ),
}


@pytest.mark.parametrize(("script", "outcome"), SLOW.values(), ids=SLOW.keys())
async def test_r22_one_timeout_covers_all_up_to_the_last_byte_and_closes_the_connection(
    egress: Egress, script: Script, outcome: Answer | NoAnswer
) -> None:
    async with Receiver(script) as receiver:
        assert await post(egress, receiver, timeout=SHORT) == outcome
        await until(lambda: not receiver.open)


async def test_r22_the_timeout_covers_connecting(egress: Egress) -> None:
    # A listener whose queue is full: the kernel answers no further connection.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, socket.create_connection(server.getsockname()):
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        answers = [await egress.send(url, HEADERS, BODY, timeout=SHORT) for _ in range(2)]
    assert answers[-1] == NoAnswer("timed out after 0.5 s, connecting", reached=False)


async def test_r22_the_timeout_covers_a_receiver_that_takes_no_body(egress: Egress) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        answer = await egress.send(url, HEADERS, bytes(16 * 1024 * 1024), timeout=SHORT)
    assert answer == NoAnswer("timed out after 0.5 s, while sending the body")


BROKEN: dict[str, tuple[Script, str]] = {
    "closed at once": ((Close(),), "connection closed before the answer"),
    "closed within the head": ((Say(b"HTTP/1.1 200 OK\r\nx: "), Close()), "connection closed before the answer"),
    "reset at once": ((Reset(),), "connection reset by peer"),
    "not HTTP": ((Say(b"220 mail.example ESMTP\r\n"), Stall()), "the answer is not HTTP"),
    "an endless head": ((Say(HEAD), Flood(b"x: y\r\n" * 1000)), "the headers of the answer are larger than 64 KiB"),
    "an endless line": ((Say(HEAD + b"x: "), Flood(b"y" * 65536)), "the headers of the answer are larger than 64 KiB"),
    "257 fields": ((Say(HEAD + b"x: y\r\n" * 257 + b"\r\n"), Stall()), "the answer has more than 256 header fields"),
    "three dozen interim answers": (
        (Say(b"HTTP/1.1 102 Processing\r\n\r\n" * 36), *reply(200)),
        "more than 20 interim answers without a final one",
    ),
}


@pytest.mark.parametrize(("script", "reason"), BROKEN.values(), ids=BROKEN.keys())
async def test_an_answer_that_is_broken_is_no_answer(egress: Egress, script: Script, reason: str) -> None:
    async with Receiver(script, reply(200)) as receiver:
        broken = reason.startswith("connection ")
        assert await post(egress, receiver) == NoAnswer(reason, broken=broken)
        assert await post(egress, receiver) == Answer(200)
        assert receiver.connections == 2


CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
ODD: dict[str, Script] = {
    "closed within the body": (Say(HEAD + b"content-length: 50\r\n\r\nhalf"), Close()),
    "reset within the body": (Say(HEAD + b"content-length: 50\r\n\r\nhalf"), Reset()),
    "closed within the chunks": (Say(CHUNKED + b"5\r\nhal"), Close()),
    "bad chunks": (Say(CHUNKED + b"zz\r\n"), Stall()),
    "bytes behind the chunks": (Say(CHUNKED + b"2\r\nok\r\n0\r\n\r\nmore"), Stall()),
    "a body that is longer than announced": (Say(HEAD + b"content-length: 2\r\n\r\nmore"), Stall()),
    "a body of 204": (Say(b"HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\nok"), Stall()),
    "two lengths": (Say(HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\nok"), Close()),
    "two lengths, and it stays open": (Say(HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\nok"), Stall()),
    "a length that is no number": (Say(HEAD + b"content-length: +2\r\n\r\nok"), Close()),
    "a length that is no number, and it stays open": (Say(HEAD + b"content-length: +2\r\n\r\nok"), Stall()),
    "a length beside chunks": (
        Say(HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        Stall(),
    ),
    "a line that is no field": (Say(HEAD + b"nonsense\r\ncontent-length: 0\r\n\r\n"), Stall()),
}


@pytest.mark.parametrize("script", ODD.values(), ids=ODD.keys())
async def test_r22_a_final_head_that_is_whole_decides_and_what_is_odd_costs_the_connection(
    egress: Egress, script: Script
) -> None:
    async with Receiver(script, reply(503)) as receiver:
        answer = await post(egress, receiver)
        assert isinstance(answer, Answer)
        assert answer.status in {200, 204}
        assert await post(egress, receiver) == Answer(503)
        assert receiver.connections == 2


LARGE: dict[str, Script] = {
    "a field of 60 KiB": (Say(HEAD + b"x: " + b"y" * 60 * 1024 + b"\r\ncontent-length: 0\r\n\r\n"),),
    "130 fields": (Say(HEAD + b"set-cookie: a=b\r\n" * 130 + b"content-length: 0\r\n\r\n"),),
    "the same length twice": (Say(HEAD + b"content-length: 2\r\ncontent-length: 2\r\n\r\nok"),),
    "folded lines": (Say(HEAD + b"x: y\r\n z\r\ncontent-length: 2\r\n\r\nok"),),
    "bare line feeds": (Say(b"HTTP/1.1 200\ncontent-length: 2\n\nok"),),
    "HTTP/1.0 that is kept": (Say(b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok"),),
}


@pytest.mark.parametrize("script", LARGE.values(), ids=LARGE.keys())
async def test_r22_a_head_may_be_large_and_of_any_form_that_the_standard_admits(egress: Egress, script: Script) -> None:
    async with Receiver(script) as receiver:
        assert [await post(egress, receiver) for _ in range(2)] == [Answer(200), Answer(200)]
        assert receiver.connections == 1


async def test_more_than_was_announced_is_not_taken_for_the_next_answer(egress: Egress) -> None:
    async with Receiver((Say(HEAD + b"content-length: 2\r\n\r\nok" + HEAD + b"\r\n"),), reply(503)) as receiver:
        assert await post(egress, receiver) == Answer(200)
        assert await post(egress, receiver) == Answer(503)


async def test_a_connection_that_the_receiver_has_closed_is_not_used_again(egress: Egress) -> None:
    async with Receiver((*reply(200), Close())) as receiver:
        for _ in range(5):
            assert await post(egress, receiver) == Answer(200)
            await until(lambda: not receiver.open)
            await anyio.wait_all_tasks_blocked()  # this end has seen the close too
        assert receiver.connections == 5


async def test_nobody_listens(egress: Egress) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    answer = await egress.send(f"http://127.0.0.1:{port}/", HEADERS, BODY, timeout=LONG)
    assert answer == NoAnswer("connection refused", reached=False)


async def test_a_name_that_is_not_known(egress: Egress) -> None:
    answer = await egress.send("http://nobody.invalid/", HEADERS, BODY, timeout=LONG)
    assert answer == NoAnswer("host name not resolved", reached=False)


@pytest.mark.parametrize(
    "url", ["", "hook", "/hook", "ftp://127.0.0.1/", "http://", "http://[::1", "http://h:99999/", "http://a..b/"]
)
async def test_a_url_that_cannot_be_used(egress: Egress, url: str) -> None:
    assert await egress.send(url, HEADERS, BODY, timeout=LONG) == NoAnswer("the URL cannot be used")


async def test_a_certificate_that_nobody_vouches_for_is_refused(egress: Egress) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(Path(__file__).with_name("self_signed.pem"))
    async with Receiver(tls=tls) as receiver:
        answer = await post(egress, receiver)
        assert isinstance(answer, NoAnswer)
        assert answer.reason.startswith("TLS: certificate not trusted: ")
        assert not receiver.requests


async def test_tls_against_a_receiver_that_speaks_none(egress: Egress) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"https://127.0.0.1:{server.getsockname()[1]}/"

        async def answer_in_plain() -> None:
            connection, _ = await anyio.to_thread.run_sync(server.accept)
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                await anyio.to_thread.run_sync(connection.recv, 1024)

        async with anyio.create_task_group() as group:
            group.start_soon(answer_in_plain)
            answer = await egress.send(url, HEADERS, BODY, timeout=LONG)
    assert isinstance(answer, NoAnswer)
    assert answer.reason.startswith("TLS: ")


async def test_a_request_that_is_cancelled_closes_its_connection(egress: Egress) -> None:
    async with Receiver((Stall(),)) as receiver:
        async with anyio.create_task_group() as group:
            group.start_soon(post, egress, receiver)
            await until(lambda: receiver.requests)
            group.cancel_scope.cancel()
        await until(lambda: not receiver.open)


async def test_closing_closes_what_is_warm(egress: Egress) -> None:
    async with Receiver() as receiver:
        await post(egress, receiver)
        assert receiver.open == 1
        await egress.aclose()
        await until(lambda: not receiver.open)
        assert await post(egress, receiver) == Answer(200)


def test_importing_it_loads_no_other_http_library() -> None:
    check = "import sys, collator.egress; sys.exit(bool({'aiohttp', 'idna', 'yarl'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


async def test_what_the_process_stood_still_is_no_part_of_the_timeout() -> None:
    stood, host_check = [0.0], anyio.Event()
    egress = Egress(stood_still=lambda: stood[0])
    answers: list[Answer | NoAnswer] = []
    async with Receiver((Hold(host_check), *reply(200)), (Stall(),)) as receiver, anyio.create_task_group() as group:

        async def ask() -> None:
            answers.append(await post(egress, receiver, timeout=SHORT))

        group.start_soon(ask)
        await until(lambda: receiver.requests)
        stood[0] += LONG  # as if the process had been stopped here
        begun = anyio.current_time()
        await until(lambda: anyio.current_time() > begun + 2 * SHORT)
        assert not answers
        host_check.set()
        await until(lambda: answers)
        group.start_soon(ask)
        await until(lambda: len(answers) == 2)
    await egress.aclose()
    assert answers == [Answer(200), NoAnswer(f"timed out after {SHORT:g} s")]
