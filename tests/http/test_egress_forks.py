"""What a copy of this process holds of the sender's connections: nothing, whoever forked it (P3, R30)."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest
import uvloop

from collator.egress import Answer, Egress, context
from tests.receiver import Receiver, Stall
from tests.wait import until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks"),
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
]

LONG = 20.0
CERTIFICATE = Path(__file__).with_name("self_signed.pem")


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, object]]:
    """Both loops that it runs on."""
    return "asyncio", {"loop_factory": uvloop.new_event_loop if request.param == "uvloop" else None}


@contextmanager
def copied() -> Iterator[None]:
    """A copy of this process lives meanwhile."""
    source, sink = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(sink)
        os.read(source, 1)
        os._exit(0)
    os.close(source)
    try:
        yield
    finally:
        os.close(sink)
        os.waitpid(pid, 0)


@pytest.mark.parametrize("secured", [False, True])
async def test_r30_a_receiver_sees_the_end_of_a_kept_connection_while_a_copy_lives(*, secured: bool) -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(CERTIFICATE)
    egress = Egress()
    async with Receiver(tls=server if secured else None) as receiver:
        assert await egress.send(receiver.url, {}, b"{}", timeout=LONG, tls=context(CERTIFICATE)) == Answer(200)
        with copied():
            assert await egress.send(receiver.url, {}, b"{}", timeout=LONG, tls=context(CERTIFICATE)) == Answer(200)
            await egress.aclose()
            await until(lambda: receiver.open == 0, LONG)


async def test_r30_a_receiver_sees_the_end_of_a_request_that_is_given_up_while_a_copy_lives() -> None:
    egress = Egress()
    async with Receiver((Stall(),)) as receiver, anyio.create_task_group() as group:
        group.start_soon(lambda: egress.send(receiver.url, {}, b"{}", timeout=LONG))
        await until(lambda: receiver.requests)
        with copied():
            group.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await until(lambda: receiver.open == 0, LONG)
                await egress.aclose()


async def test_r30_a_copy_leaves_the_connection_as_it_is() -> None:
    egress = Egress()
    async with Receiver() as receiver:
        for _ in range(3):
            assert await egress.send(receiver.url, {}, b"{}", timeout=LONG) == Answer(200)
            with copied():
                assert await egress.send(receiver.url, {}, b"{}", timeout=LONG) == Answer(200)
        assert receiver.connections == 1
        await egress.aclose()
