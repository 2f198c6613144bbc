"""A Celery worker for a service that is measured, and the broker between the two: children, each ended by its id."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from bench.processes import ROOT, SOURCE, end, environment
from collator.errors import ConfigError
from tests.brokers import RabbitMQ, Valkey

BROKERS: Mapping[str, type[Valkey | RabbitMQ]] = {"valkey": Valkey, "rabbitmq": RabbitMQ}


class Broker(NamedTuple):
    """A broker that is there."""

    url: str
    pid: int


@contextmanager
def broker(name: str | None) -> Iterator[Broker | None]:
    """The broker *name*, if any, on loopback. Raises `ConfigError` where this machine has none."""
    if name is None:
        yield None
        return
    try:
        server = BROKERS[name]()
    except pytest.skip.Exception as missing:
        raise ConfigError(f"--broker {name}: {missing}") from None
    with closing(server):
        yield Broker(server.url() if isinstance(server, Valkey) else server.url, server.pid)


@asynccontextmanager
async def worker(
    broker: Broker, directory: Path, settings: Mapping[str, str], options: Sequence[str], source: Path | None = None
) -> AsyncIterator[int]:
    """A worker at *broker* with *settings* and *options* of Celery, as `processes.service` has them: its process id."""
    given = {f"COLLATOR_{name.upper()}": value for name, value in {**settings, "broker": broker.url}.items()}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "collator", "worker", *options),
        cwd=directory,
        env=environment(source or SOURCE, ROOT) | given,
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=DEVNULL,
        start_new_session=True,
    )
    try:
        yield process.pid
    finally:
        await end(process)
