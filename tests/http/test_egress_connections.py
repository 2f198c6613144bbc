"""Connections of the sender: what is sent on them, where they lead, how long they last, and what is tried again."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
import uvloop

from collator.egress import Answer, Egress, NoAnswer, context
from collator.egress.connection import OutboundConnection
from tests.receiver import Close, Hold, Receiver, Reset, Say, Script, Stall, reply
from tests.wait import until

pytestmark = pytest.mark.anyio

LONG = 20.0
SHORT = 0.5
LARGE = bytes(32 * 1024 * 1024)
"""More than two kernels hold between them."""
EARLY = NoAnswer("HTTP 200 before the whole body was sent")


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, object]]:
    """Both loops that it runs on: uvloop in the service, asyncio for processors."""
    return "asyncio", {"loop_factory": uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop}


@pytest.fixture
async def egress() -> AsyncIterator[Egress]:
    egress = Egress()
    yield egress
    await egress.aclose()


@asynccontextmanager
async def listening(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object], *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """A receiver that does as *talk* does with each connection."""
    talks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.current_task())  # type: ignore[arg-type]
        try:
            await talk(reader, writer)  # type: ignore[misc]
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=64 * 1024, ssl=tls)
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


async def post(egress: Egress, url: str, body: bytes = b"{}", *, timeout: float = LONG, keep: int = 0) -> object:
    with anyio.fail_after(LONG):
        return await egress.send(url, {"webhook-id": "msg_1"}, body, timeout=timeout, keep=keep)


def answer(status: bytes, body: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 " + status, b"content-length: %d" % len(body), *headers, b"", body])


@pytest.mark.parametrize("keep", [0, 100])
async def test_r22_a_success_before_the_last_byte_is_out_is_a_failed_attempt(egress: Egress, keep: int) -> None:
    async def say_ok_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(512 * 1024)
        writer.write(answer(b"200 OK", b"{}"))
        await writer.drain()

    async with listening(say_ok_and_close) as url:
        assert await post(egress, url, LARGE, keep=keep) == EARLY


async def test_r22_a_success_whose_receiver_then_reads_no_more_is_a_failed_attempt(egress: Egress) -> None:
    async def say_ok_and_wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(b"200 OK", b""))
        await asyncio.Event().wait()

    async with listening(say_ok_and_wait) as url:
        assert await post(egress, url, LARGE, timeout=SHORT) == EARLY


async def test_r22_a_success_counts_once_the_last_byte_is_out(egress: Egress) -> None:
    got = 0

    async def say_ok_and_read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal got
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(b"200 OK", b""))
        while got < len(LARGE):
            got += len(await reader.read(1024 * 1024))

    async with listening(say_ok_and_read) as url:
        assert await post(egress, url, LARGE) == Answer(200)
        await until(lambda: got == len(LARGE))


async def test_r22_a_receiver_that_refuses_a_body_and_closes_is_heard(egress: Egress) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(100_000)
        writer.write(answer(b"413 Too Large", b"at most 1 MiB", b"content-type: text/plain", b"connection: close"))
        await writer.drain()
        writer.close()  # unread bytes are left: the kernel sends a reset

    async with listening(refuse) as url:
        for _ in range(10):
            told = await post(egress, url, LARGE)
            assert isinstance(told, Answer)
            assert (told.status, told.excerpt) == (413, "at most 1 MiB")


async def test_a_kept_connection_that_is_closed_as_it_is_used_again_is_tried_once_more(
    egress: Egress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OutboundConnection, "usable", lambda _: True)  # the close is on its way
    async with Receiver(reply(200), (Close(),), reply(200), (Reset(),), reply(202)) as receiver:
        answers = [await post(egress, receiver.url) for _ in range(3)]
        assert answers == [Answer(200), Answer(200), Answer(202)]
        assert [request.connection for request in receiver.requests] == [1, 1, 2, 2, 3]


async def test_a_fresh_connection_is_not_tried_once_more_nor_one_on_which_a_byte_came(
    egress: Egress, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Receiver((Close(),), reply(200), (Say(b"HTTP"), Close())) as receiver:
        closed = NoAnswer("connection closed before the answer", broken=True)
        assert [await post(egress, receiver.url) for _ in range(3)] == [closed, Answer(200), closed]
        assert len(receiver.requests) == 3
    async with Receiver(reply(200), (Close(),)) as receiver:  # the fresh one fails too
        monkeypatch.setattr(OutboundConnection, "usable", lambda _: True)
        assert [await post(egress, receiver.url) for _ in range(2)] == [Answer(200), closed]
        assert len(receiver.requests) == 3


async def test_the_second_try_is_within_the_same_timeout(egress: Egress) -> None:
    async with Receiver(reply(200), (Close(),), (Stall(),)) as receiver:
        await post(egress, receiver.url)
        assert await post(egress, receiver.url, timeout=SHORT) == NoAnswer("timed out after 0.5 s")


async def test_a_connection_that_was_closed_or_on_which_something_came_is_not_used_again(egress: Egress) -> None:
    host_check = anyio.Event()
    async with Receiver((*reply(200), Hold(host_check), Say(b"HTTP/1.1 200 OK\r\n\r\n")), reply(202)) as receiver:
        assert await post(egress, receiver.url) == Answer(200)
        host_check.set()
        await until(lambda: not receiver.open)
        assert await post(egress, receiver.url) == Answer(202)


async def test_r22_kept_connections_have_a_greatest_age() -> None:
    egress = Egress(max_age=0.2)
    async with Receiver() as receiver:
        await post(egress, receiver.url)
        await until(lambda: not receiver.open)  # closed by age: it may stand idle for 30 s
        await post(egress, receiver.url)
        assert receiver.connections == 2
    await egress.aclose()


async def test_a_connection_is_given_up_before_the_receiver_does_so(egress: Egress) -> None:
    async with Receiver(reply(200, "keep-alive: timeout=1")) as receiver:
        await post(egress, receiver.url)
        await post(egress, receiver.url)
        assert receiver.connections == 2


@pytest.mark.parametrize(
    "path",
    ["/run?sp=%2Ftriggers%2Frun&sig=a%2Bb%2Fc%27", "/%3A%40%7E", "/a/../b/./c", "/a?", "/a//b?c=d?e", "/%zz?[]|^"],
)
async def test_r20_path_and_query_arrive_byte_for_byte(egress: Egress, path: str) -> None:
    async with Receiver() as receiver:
        await post(egress, receiver.url.removesuffix("/hook") + path + "#fragment")
        assert receiver.requests[0].line == f"POST {path} HTTP/1.1"


async def test_r20_credentials_arrive_as_utf_8(egress: Egress) -> None:
    async with Receiver() as receiver:
        await post(egress, receiver.url.replace("//", "//user:p%E2%82%ACss@"))
        assert receiver.requests[0].headers["authorization"] == "Basic dXNlcjpw4oKsc3M="
        assert receiver.requests[0].headers["host"] == f"127.0.0.1:{receiver.port}"


async def test_a_header_cannot_hold_another(egress: Egress) -> None:
    async with Receiver() as receiver:
        answer = await egress.send(receiver.url, {"a": "b\r\nc: d"}, b"", timeout=LONG)
        assert answer == NoAnswer("the URL cannot be used")
        assert receiver.connections == 0


async def test_a_name_whose_server_is_silent_delays_nobody_else(
    egress: Egress, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent, asked = threading.Event(), []

    def getaddrinfo(host: str, port: int, **_options: object) -> list[tuple[object, ...]]:
        asked.append(host)
        if host.startswith("silent"):
            silent.wait(LONG)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    late = NoAnswer("timed out after 0.5 s, while resolving the host name", reached=False)
    async with Receiver() as receiver:
        outcomes: list[object] = []

        async def ask(host: str) -> None:
            url = receiver.url.replace("127.0.0.1", host)
            outcomes.append(await post(egress, url, timeout=SHORT))

        async with anyio.create_task_group() as group:
            for number in range(50):  # more than a pool of threads has
                group.start_soon(ask, f"silent-{number}.test")
                group.start_soon(ask, f"silent-{number}.test")
            await until(lambda: len(asked) == 50)
            assert await post(egress, receiver.url.replace("127.0.0.1", "healthy.test")) == Answer(200)
        assert outcomes == [late] * 100
        assert len(asked) == 51  # once for each, however many ask
    silent.set()


async def test_the_next_address_is_tried_after_a_quarter_of_a_second_and_at_once_where_one_fails(
    egress: Egress, monkeypatch: pytest.MonkeyPatch
) -> None:
    def getaddrinfo(_host: str, port: int, **_options: object) -> list[tuple[object, ...]]:
        first = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0))
        return [first, (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    async with Receiver() as receiver:
        url = receiver.url.replace("127.0.0.1", "both.test")
        assert await post(egress, url) == Answer(200)  # nobody listens at ::1
        await egress.aclose()
        with socket.socket(socket.AF_INET6) as deaf, socket.socket(socket.AF_INET6) as waiting:
            deaf.bind(("::1", receiver.port))
            deaf.listen(0)
            waiting.setblocking(False)
            waiting.connect_ex(deaf.getsockname())  # the queue is full: the kernel answers no further connection
            with socket.socket(socket.AF_INET6) as another:
                another.setblocking(False)
                another.connect_ex(deaf.getsockname())
                assert await post(egress, url, timeout=5.0) == Answer(200)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
async def test_a_shortage_of_our_own_is_told_from_a_failure_of_the_receiver(
    egress: Egress, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    class Lacking(socket.socket):
        def __init__(self, *_: object, **__: object) -> None:
            raise OSError(number, "lacking")

    async with Receiver() as receiver:
        monkeypatch.setattr(socket, "socket", Lacking)
        answer = await post(egress, receiver.url)
        monkeypatch.undo()
        assert isinstance(answer, NoAnswer)
        assert answer.own_shortage
        assert answer.reached


async def test_a_lookup_that_fails_for_want_of_descriptors_is_our_own_shortage(
    egress: Egress, monkeypatch: pytest.MonkeyPatch
) -> None:
    def getaddrinfo(*_: object, **__: object) -> list[tuple[object, ...]]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    class Lacking(socket.socket):
        def __init__(self, *_: object, **__: object) -> None:
            raise OSError(errno.EMFILE, "lacking")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(socket, "socket", Lacking)
    answer = await post(egress, "http://lacking.test/")
    monkeypatch.undo()
    assert isinstance(answer, NoAnswer)
    assert answer.own_shortage


async def test_interim_answers_without_end_are_cut_off(egress: Egress) -> None:
    async with Receiver((Say(b"HTTP/1.1 102 Processing\r\n\r\n" * 36), Stall())) as receiver:
        assert await post(egress, receiver.url) == NoAnswer("more than 20 interim answers without a final one")
        await until(lambda: not receiver.open)


async def test_a_cut_body_is_no_output(egress: Egress) -> None:
    async with Receiver((Say(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n[1"), Close())) as receiver:
        assert await post(egress, receiver.url, keep=100) == Answer(200, beginning=b"[1", complete=False)


async def test_closing_while_a_request_is_under_way_ends_it(egress: Egress) -> None:
    async with Receiver((Stall(),)) as receiver:
        outcomes: list[object] = []

        async def ask() -> None:
            outcomes.append(await post(egress, receiver.url))

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            await until(lambda: receiver.requests)
            await egress.aclose()
        assert outcomes == [NoAnswer("connection closed before the answer", broken=True)]


CERTIFICATE = Path(__file__).with_name("self_signed.pem")


@asynccontextmanager
async def secured(**asks: bool) -> AsyncIterator[Receiver]:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(CERTIFICATE)
    if asks:
        tls.verify_mode = ssl.CERT_REQUIRED
        tls.load_verify_locations(CERTIFICATE)
    async with Receiver(tls=tls) as receiver:
        yield receiver


async def test_a_private_authority_is_trusted_where_the_settings_name_it(egress: Egress) -> None:
    trusting = context(CERTIFICATE)
    async with secured() as receiver:
        for size in (2, len(LARGE), 2):
            answer = await egress.send(receiver.url, {}, bytes(size), timeout=LONG, tls=trusting)
            assert answer == Answer(200)
        assert [len(request.body) for request in receiver.requests] == [2, len(LARGE), 2]
        assert receiver.connections == 1
        refused = await egress.send(receiver.url, {}, b"", timeout=LONG)  # a connection of its own
        assert isinstance(refused, NoAnswer)
        assert refused.reason.startswith("TLS: certificate not trusted: ")
        assert refused.reached  # it is the settings of one endpoint that do not fit


async def test_a_certificate_is_shown_to_who_asks(egress: Egress) -> None:
    async with secured(asks=True) as receiver:
        shown = context(CERTIFICATE, CERTIFICATE)
        assert await egress.send(receiver.url, {}, b"{}", timeout=LONG, tls=shown) == Answer(200)
        refused = await egress.send(receiver.url, {}, b"{}", timeout=LONG, tls=context(CERTIFICATE))
        assert isinstance(refused, NoAnswer)


async def test_r22_over_tls_too_a_success_before_the_last_byte_is_out_is_a_failed_attempt(egress: Egress) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(CERTIFICATE)

    async def say_ok_and_wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(b"200 OK", b""))
        await asyncio.Event().wait()

    async with listening(say_ok_and_wait, tls=tls) as url:
        assert await egress.send(url, {}, LARGE, timeout=2.0, tls=context(CERTIFICATE)) == EARLY


async def test_the_list_that_the_environment_names_is_trusted(egress: Egress, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    async with secured() as receiver:
        assert await post(egress, receiver.url) == Answer(200)


PLAIN = b"HTTP/1.0 200 OK\r\n\r\n[1]"


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ((Say(PLAIN), Close()), Answer(200, body=b"[1]", beginning=b"[1]")),
        ((Say(PLAIN), Reset()), Answer(200, beginning=b"[1]", complete=False)),
        ((Say(PLAIN.replace(b"OK", b"OK\r\ncontent-length: 3")), Close()), Answer(200, body=b"[1]", beginning=b"[1]")),
    ],
)
async def test_a_receiver_of_http_1_0_over_tls(egress: Egress, script: Script, outcome: Answer) -> None:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(CERTIFICATE)
    async with Receiver(script, tls=tls) as receiver:
        for number in (1, 2):
            assert await egress.send(receiver.url, {}, b"{}", timeout=LONG, keep=9, tls=context(CERTIFICATE)) == outcome
            assert receiver.connections == number
