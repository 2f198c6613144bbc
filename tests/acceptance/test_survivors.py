"""R30: what a call has started ends with the service, however that ends; and what does not end holds nothing of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from collator.cli.children import free_port
from collator.client import Client
from tests.harness.note import note
from tests.harness.service import ServiceProcess
from tests.harness.starts import APART, ENDED, SLEEP
from tests.requirements import need
from tests.unit.test_subprocess import alive
from tests.wait import until

PATIENCE = 20.0
KINDS: dict[str, dict[str, Any]] = {
    "thread": {"processor": "tests.harness.starts:plain"},
    "process": {"processor": "tests.harness.starts:plain", "pool": "process"},
    "coroutine": {"processor": "tests.harness.starts:coroutine"},
}


async def send(service: ServiceProcess, resource_id: str, payload: object) -> None:
    packet = {"resource_id": resource_id, "index": 0, "payload": payload, "last": True}
    async with aiohttp.ClientSession() as session, session.post(service.url + "/v1/packets", json=packet) as answer:
        assert answer.status == 202


async def started(service: ServiceProcess, folder: Path, names: Iterable[str]) -> dict[str, int]:
    """The number of each of *names*, which one call in *service* has started."""
    paths = {name: folder / name for name in names}
    await send(service, "starts", [[*paths], str(folder)])
    await until(lambda: all(path.exists() for path in paths.values()), PATIENCE)
    return {name: int(path.read_text()) for name, path in paths.items()}


def living(started: Mapping[str, int]) -> list[str]:
    """Those of *started* that go on."""
    return [name for name, pid in started.items() if alive(pid)]


def files_of(pid: int) -> list[str]:
    return [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]


@contextmanager
def ended(*numbers: int) -> Iterator[None]:
    """Whatever is found, no process of *numbers* is left behind."""
    try:
        yield
    finally:
        for pid in numbers:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)


async def until_ended(started: Mapping[str, int]) -> None:
    """Return once none of *started* goes on."""
    try:
        await until(lambda: not living(started), PATIENCE)
    finally:
        note(f"still there: {living(started)}")


@contextmanager
def beside() -> Iterator[subprocess.Popen[bytes]]:
    """A program in the session and the group of the service, which is none of its own."""
    with subprocess.Popen(SLEEP) as program, ended(program.pid):
        yield program


@pytest.mark.parametrize("kind", KINDS)
async def test_r30_what_a_call_has_started_ends_when_the_service_is_killed(tmp_path: Path, kind: str) -> None:
    need(sys.platform == "linux", "Linux, where all that a process has started can be found")
    with beside() as stranger:
        async with ServiceProcess(tmp_path, **KINDS[kind]) as service:
            await service.start()
            all_started = await started(service, tmp_path, ENDED)
            with ended(*all_started.values()):
                assert living(all_started) == [*ENDED]
                service.kill()
                await until_ended(all_started)
        assert stranger.poll() is None


@pytest.mark.parametrize("kind", ["thread", "process"])
async def test_r30_what_a_call_has_started_ends_after_a_stop(tmp_path: Path, kind: str) -> None:
    need(sys.platform == "linux", "Linux, as above")
    async with ServiceProcess(tmp_path, **KINDS[kind]) as service:
        await service.start(drain_timeout=0.5)
        all_started = await started(service, tmp_path, ["a program in a group of its own"])
        with ended(*all_started.values()):
            await service.stop()
            await until_ended(all_started)


async def test_r30_what_a_call_has_started_ends_with_its_process_when_its_time_is_up(tmp_path: Path) -> None:
    need(sys.platform == "linux", "Linux, as above")
    async with ServiceProcess(tmp_path, **KINDS["process"], processor_timeout=1, processor_retries=0) as service:
        await service.start()
        all_started = await started(service, tmp_path, ["a program in a group of its own"])
        with ended(*all_started.values()):
            await until_ended(all_started)
            assert service.running()


@pytest.mark.parametrize("kind", KINDS)
async def test_r30_what_goes_on_in_a_session_of_its_own_holds_nothing_of_the_service(tmp_path: Path, kind: str) -> None:
    need(sys.platform == "linux", "Linux, where one sees which files a process has open")
    async with ServiceProcess(tmp_path, **KINDS[kind], port=free_port()) as service:
        await service.start()
        async with aiohttp.ClientSession() as session, session.get(service.url + "/healthz"):  # a kept connection
            all_started = await started(service, tmp_path, APART)
        with ended(*all_started.values()):
            service.kill()
            held = [file for pid in all_started.values() for file in files_of(pid)]
            assert [file for file in held if file.startswith(str(service.data_dir))] == []
            await service.start()  # on the same directory and the same port
            await send(service, "another", 1)
            await until_collated(service, "another")
            assert living(all_started) == [*APART]
            await service.stop()


async def test_a_directory_that_is_held_is_refused_with_the_number_of_the_holder(tmp_path: Path) -> None:
    async with ServiceProcess(tmp_path) as service:
        await service.start()
        async with ServiceProcess(tmp_path / "second", data_dir=service.data_dir) as second:
            second.spawn()
            await second.ended()
            assert f"in use by another process ({service.pid()})" in second.log()
        service.kill()
        await service.start()
        await service.stop()
        assert (service.data_dir / "lock").read_text() == ""


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
async def test_processes_that_a_function_ends_by_a_signal_end_and_the_service_does_not(
    tmp_path: Path, kind: str
) -> None:
    calls = str(tmp_path / "calls")
    async with ServiceProcess(tmp_path, processor=f"tests.harness.forks:{kind}") as service:
        await service.start()
        for how in ("with_a_pool", "in_thread", "come_back"):
            await send(service, how, {"how": how, "value": 1, "calls": calls})
            await until_collated(service, how)
        assert service.running()
        await service.stop()


async def until_collated(service: ServiceProcess, resource_id: str) -> None:
    async with Client(service.url) as client:
        await client.result(resource_id, timeout=PATIENCE)
