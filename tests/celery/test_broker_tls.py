"""A broker with TLS: nodes and workers verify who it is, and one that they do not trust is as one that is away.

The Valkey of the wheel has no TLS, so a proxy speaks it for it.
"""

from __future__ import annotations

import asyncio
import shutil
import ssl
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from collator.states import State
from tests.brokers import Valkey
from tests.celery.celery_node import CeleryNode
from tests.celery.test_worker_command import COLLATOR
from tests.cluster.proxy import BrokerProxy
from tests.requirements import need
from tests.servers.operator import certificates
from tests.wait import until
from tests.workers.node import PATIENCE, Store, payload

pytestmark = pytest.mark.cluster  # workers are started, which takes seconds

UNKNOWN = "certificate verify failed: unable to get local issuer certificate"
ANOTHER = "certificate verify failed: IP address mismatch"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """Where an authority is, ``ca.pem``, and a certificate of it for localhost."""
    need(shutil.which("openssl"), "openssl")
    folder = tmp_path / "keys"
    folder.mkdir()
    certificates(folder)
    return folder


@asynccontextmanager
async def behind_tls(valkey: Valkey, keys: Path) -> AsyncIterator[BrokerProxy]:
    """A proxy that speaks TLS before *valkey*."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(keys / "localhost.pem", keys / "localhost.key")
    proxy = await BrokerProxy.start(valkey.port, tls=context)
    try:
        yield proxy
    finally:
        await proxy.stop()


@asynccontextmanager
async def worker(url: str) -> AsyncIterator[Process]:
    """A worker at *url*, which is ended. It is waited for in the event loop, as the proxy is there."""
    options = ["--broker", url, "--processor", "tests.workers.behaviours:plain", "-P", "solo", "-l", "warning"]
    process = await asyncio.create_subprocess_exec(*COLLATOR, "worker", *options, stderr=PIPE)
    try:
        yield process
    finally:
        process.kill()
        await process.communicate()


@pytest.mark.parametrize("scheme", ["rediss", "valkeys"])
async def test_a_node_and_a_worker_reach_a_broker_whose_authority_they_are_told(
    store: Store, valkey: Valkey, keys: Path, database: int, scheme: str
) -> None:
    async with behind_tls(valkey, keys) as proxy:
        url = f"{scheme}://localhost:{proxy.port}/{database}?ssl_ca_certs={keys}/ca.pem"
        async with worker(url), store.node(CeleryNode(url)) as node:
            await node.send("a", payload(), payload())
            await until(lambda: node.outbox.taken, 3 * PATIENCE)  # the worker starts meanwhile
            assert (await node.ended("a")).state is State.COLLATED


@pytest.mark.parametrize(("host", "words"), [("localhost", UNKNOWN), ("127.0.0.1", ANOTHER)])
async def test_packets_wait_for_a_broker_that_is_not_trusted_and_it_is_told_why(
    store: Store, valkey: Valkey, keys: Path, *, database: int, host: str, words: str
) -> None:
    async with behind_tls(valkey, keys) as proxy:
        place = f"rediss://{host}:{proxy.port}/{database}"
        url = place if words == UNKNOWN else f"{place}?ssl_ca_certs={keys}/ca.pem"
        async with store.node(CeleryNode(url)) as node:
            await node.send("a", payload(), payload())
            await until(node.workers.health, PATIENCE)
            told = str(node.workers.health())
            assert told.startswith(f"the broker {place}")
            assert "cannot be used, and packets wait: " in told
            assert words in told
            await node.workers.drain(0.1)
            assert sorted(await node.due()) == [(0, 1), (1, 1)]


async def test_a_worker_says_which_certificate_it_does_not_trust_and_tries_again(valkey: Valkey, keys: Path) -> None:
    async with behind_tls(valkey, keys) as proxy, worker(f"rediss://localhost:{proxy.port}/11") as process:
        assert process.stderr is not None
        told = b""
        async with asyncio.timeout(3 * PATIENCE):
            while told.count(UNKNOWN.encode()) < 2:
                told += await process.stderr.read(2**16)
        assert b"Traceback" not in told
