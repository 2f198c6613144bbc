"""The commands that start a Celery worker, as a person types them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import redis

from collator.states import State
from tests.brokers import RabbitMQ, Sentinel, Valkey
from tests.celery.celery_node import CeleryNode
from tests.wait import until
from tests.workers.node import PATIENCE, Store, payload

ROOT = Path(__file__).parents[2]
COLLATOR = (sys.executable, "-m", "collator")
CELERY = (sys.executable, "-m", "celery")
KEY = "xyzzy"
EXAMPLE = ROOT / "examples" / "celery"


@contextmanager
def started(
    command: Sequence[str], variables: Mapping[str, str] | None = None, *, cwd: Path = ROOT
) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that runs while the context is open, and ends as one that is told to."""
    process = subprocess.Popen(command, env={**os.environ, **(variables or {})}, cwd=cwd, stderr=subprocess.PIPE)
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
    finally:
        process.kill()
        process.communicate()


async def test_collator_worker_calls_the_processor(store: Store, url: str) -> None:
    options = ["--broker", url, "--processor", "tests.workers.behaviours:plain", "-P", "threads", "-c", "2"]
    with started([*COLLATOR, "worker", *options, "-l", "warning"]):
        kind = CeleryNode(url)
        async with store.node(kind) as node:
            await node.send("a", payload(), payload())
            assert (await node.ended("a")).state is State.COLLATED
            await until(lambda: len(kind.pool._workers) == 1 and kind.pool._workers.idle(), PATIENCE)


async def test_the_command_of_celery_does_too_and_an_address_of_valkey_is_one_of_redis(store: Store, url: str) -> None:
    broker = url.replace("redis://", "valkey://")
    given = {"COLLATOR_BROKER": broker, "COLLATOR_PROCESSOR": "tests.workers.behaviours:plain"}
    command = [*CELERY, "-A", "collator.workers.celery", "worker", "-l", "info", "-c", "1"]
    with started(command, given):
        async with store.node(CeleryNode(broker)) as node:
            await node.send("a", payload(), payload())
            assert (await node.ended("a")).state is State.COLLATED


async def test_the_task_works_on_an_app_of_the_users_own(store: Store, url: str) -> None:
    command = [*CELERY, "-A", "tasks", "worker", "-l", "warning", "-P", "threads", "-c", "2", "-Q", "celery,collator"]
    given = {"BROKER": url, "COLLATOR_PROCESSOR": "tests.workers.behaviours:plain", "PYTHONPATH": str(ROOT)}
    with started(command, given, cwd=EXAMPLE):
        async with store.node(CeleryNode(url)) as node:
            await node.send("a", payload(), payload())
            assert (await node.ended("a")).state is State.COLLATED


async def test_a_broker_is_found_by_its_sentinels(store: Store, valkey: Valkey) -> None:
    with closing(Sentinel(valkey)) as sentinel:
        options = ["--broker", sentinel.url, "--processor", "tests.workers.behaviours:plain", "-P", "solo"]
        with started([*COLLATOR, "worker", *options, "-l", "warning"]):
            async with store.node(CeleryNode(sentinel.url)) as node:
                await node.send("a", payload(), payload())
                assert (await node.ended("a")).state is State.COLLATED


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--broker", "redis://127.0.0.1:1/", "-P", "eventlet"], "eventlet is not supported"),
        (["--broker", "redis://127.0.0.1:1/", "--pool=eventlet"], "eventlet is not supported"),
        ([], "give the address of the broker"),
        (["--broker", "http://127.0.0.1:1/"], "broker: http:// is not supported"),
        (["--broker", "redis"], "broker: it is not supported"),
        (["--broker", "redis://127.0.0.1:1/", "--processor", "no.such:thing"], "cannot import no.such"),
    ],
)
def test_what_cannot_work_is_refused_in_words(arguments: Sequence[str], words: str) -> None:
    done = subprocess.run([*COLLATOR, "worker", *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_valkey_that_refuses_the_worker_ends_it_with_a_line() -> None:
    with closing(Valkey()) as server, redis.Redis(port=server.port) as client:
        client.config_set("requirepass", KEY)
        refused(server.url(), "authenticated")
        refused(server.url().replace("//", f"//:not-{KEY}@"), "invalid username-password pair")


@pytest.mark.cluster
def test_a_rabbitmq_that_refuses_the_worker_ends_it_with_a_line() -> None:
    with closing(RabbitMQ()) as server:
        refused(f"{server.url}nowhere", "vhost nowhere not found")
        refused(server.url.replace("guest@", f"{KEY}@"), "ACCESS_REFUSED")


def refused(url: str, words: str) -> None:
    """See that a worker at *url* ends, and says why in one line, without the password."""
    options = ["--broker", url, "--processor", "tests.workers.behaviours:plain", "-P", "solo", "-l", "warning"]
    done = subprocess.run([*COLLATOR, "worker", *options], capture_output=True, text=True, timeout=60, check=False)
    lines = [line for line in done.stderr.splitlines() if line.startswith("collator: ")]
    assert done.returncode == 1
    assert len(lines) == 1, done.stderr
    assert "refuses the connection" in lines[0]
    assert words in lines[0]
    assert "Traceback" not in done.stdout + done.stderr
    assert KEY not in done.stdout + done.stderr


async def test_p2_what_a_worker_had_that_was_killed_is_processed_by_another(store: Store, valkey: Valkey) -> None:
    url = valkey.url(15)
    kind = CeleryNode(url)
    options = ["--broker", url, "--processor", "tests.workers.behaviours:plain", "-P", "solo", "-l", "warning"]
    async with store.node(kind) as node:
        first = subprocess.Popen([*COLLATOR, "worker", *options], cwd=ROOT)  # noqa: ASYNC220 - it returns at once
        try:
            await node.send("a", payload("wait", times=1), payload())
            await until(node.begun, PATIENCE)
        finally:
            first.kill()
            first.wait()
        with started([*COLLATOR, "worker", *options]):
            await until(lambda: _later(kind) and len(node.ledger.statuses) == 2, PATIENCE)  # one lost, one done
            node.clock.advance(2.0)
            assert (await node.ended("a")).state is State.COLLATED
            assert sorted(node.begun()) == [0, 0, 1]


def _later(kind: CeleryNode) -> bool:
    """Let some of the node's time pass."""
    kind.clock.advance(0.1)
    return True
