"""A processor that goes wrong, in every way and pool: a failure with a readable reason, and no one else notices.

One service for each kind of processor, in this process, so that its event loop can be watched. Each test sends it one
bad packet and, at the same time, a resource of good ones.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from collator.client import Client
from collator.service import Service, open_service
from collator.settings import Settings
from tests.harness import fault_filesystem
from tests.requirements import need

TIMEOUT = 0.6
"""Seconds for one call: long for a good one on a busy machine, short for a bad one."""
GOOD = 20
MOST_LAG = 0.1
"""Seconds for which the service's loop may stand still."""

EVERYWHERE = [
    ("fail", f"ValueError: no sound in it ({fault_filesystem.FAILS})"),
    ("refuse", "this is a picture"),
    ("no_json", "output: not JSON: Encoding objects of type object is unsupported"),
    ("large", "output: much larger than max_output"),
]
"""What the payload asks for, and the reason that is recorded."""
FOR_PROCESSES = [
    ("hang", "timed out after 0.6 s"),
    ("seize", "timed out after 0.6 s"),
    ("leave", "the process ended with exit code 7"),
    ("crash", "the process ended with signal 11 (Segmentation fault)"),
    ("devour", f"MemoryError: pool_memory is 1024 MiB ({fault_filesystem.DEVOURS})"),
    ("fork", "the process ended with exit code 9"),
]
FOR_COROUTINES = [
    ("wait", "timed out after 0.6 s"),
    ("deaf", "timed out after 0.6 s"),
    ("hang", "timed out after 0.6 s: the event loop was blocked"),
]


class Workshop(NamedTuple):
    """A service, and who sends to it."""

    service: Service
    client: Client


@asynccontextmanager
async def open_workshop(data_dir: Path, processor: str, **settings: Any) -> AsyncIterator[Workshop]:  # noqa: ANN401
    fault_filesystem.released.clear()
    common = Settings(port=0, data_dir=data_dir, webhook="none", concurrency=4, processor_retries=0)
    processor = f"tests.harness.fault_filesystem:{processor}"
    settings = {"processor": processor, "processor_timeout": TIMEOUT, **settings}
    async with open_service(replace(common, **settings)) as service, Client(service.url) as client:
        await client.send([{"resource_id": "first", "index": 0, "payload": 1, "last": True}])
        await client.result("first", timeout=30.0)  # the pool is there
        yield Workshop(service, client)
        fault_filesystem.released.set()


@pytest.fixture(scope="module")
async def threads(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Workshop]:
    async with open_workshop(tmp_path_factory.mktemp("threads"), "plain") as workshop:
        yield workshop


@pytest.fixture(scope="module")
async def processes(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Workshop]:
    need(sys.platform == "linux", "Linux, which limits the memory of a process")
    folder = tmp_path_factory.mktemp("processes")
    async with open_workshop(folder, "plain", pool="process", pool_memory=1024**3) as workshop:
        yield workshop


@pytest.fixture(scope="module")
async def coroutines(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Workshop]:
    async with open_workshop(tmp_path_factory.mktemp("coroutines"), "coroutine") as workshop:
        yield workshop


@pytest.mark.parametrize(("fault", "reason"), [*EVERYWHERE, ("hang", "timed out after 0.6 s")])
async def test_a_fault_of_a_function_in_a_thread(threads: Workshop, fault: str, reason: str) -> None:
    await nobody_else_notices(threads, fault, reason)


@pytest.mark.parametrize(("fault", "reason"), [*EVERYWHERE, *FOR_PROCESSES])
async def test_a_fault_of_a_function_in_a_process(processes: Workshop, fault: str, reason: str) -> None:
    await nobody_else_notices(processes, fault, reason)


@pytest.mark.parametrize(("fault", "reason"), [*EVERYWHERE, *FOR_COROUTINES])
async def test_a_fault_of_a_coroutine_function(coroutines: Workshop, fault: str, reason: str) -> None:
    await nobody_else_notices(coroutines, fault, reason)


@pytest.mark.parametrize(("fault", "reason"), [("hang", "timed out after 0.6 s"), FOR_PROCESSES[3]])
async def test_a_fault_of_a_coroutine_function_in_a_process(tmp_path: Path, fault: str, reason: str) -> None:
    async with open_workshop(tmp_path, "coroutine", pool="process") as workshop:
        await nobody_else_notices(workshop, fault, reason)


async def nobody_else_notices(workshop: Workshop, fault: str, reason: str) -> None:
    """See that *fault* is recorded for *reason*, that good packets get through, and that the service's loop turns."""
    lags = []
    for _ in range(3):  # a busy machine looks like a fault now and then, and a fault every time
        quiet = await lag_of(workshop, 0, "collated")
        lags.append((await lag_of(workshop, fault, reason), quiet))
        if lags[-1][0] <= MOST_LAG + quiet:
            return
    pytest.fail(f"the service's loop stood still for so many seconds, with the fault and without it: {lags}")


async def lag_of(workshop: Workshop, payload: object, expected: str) -> float:
    """Send *payload* and, beside it, good packets; see that all end as they should. The longest standstill, seconds."""
    client, bad, good = workshop.client, f"bad {next(_numbers)}", f"good {next(_numbers)}"
    packets = [
        {"resource_id": good, "index": index, "payload": index, "last": index == GOOD - 1} for index in range(GOOD)
    ]
    async with watched() as lags:
        await client.send([{"resource_id": bad, "index": 0, "payload": payload, "last": True}, *packets])
        outputs = (await client.result(good, timeout=20.0))["outputs"]
        await client.result(bad, timeout=20.0)
    assert outputs == [*range(GOOD)]
    report = await client.resource(bad)
    ended = report["failures"][0]["reason"] if report["failures"] else report["state"]
    assert ended == expected
    return max(lags)


@asynccontextmanager
async def watched() -> AsyncIterator[list[float]]:
    """The times for which this event loop, which is the service's, did not turn; seconds."""
    lags = [0.0]

    async def watch() -> None:
        never = asyncio.Event()
        while True:
            before = time.monotonic()
            try:
                await asyncio.wait_for(never.wait(), 0.005)
            except TimeoutError:
                lags.append(time.monotonic() - before - 0.005)

    watching = asyncio.create_task(watch())
    try:
        yield lags
    finally:
        watching.cancel()


_numbers = count()
