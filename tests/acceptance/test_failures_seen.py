"""What a person sees of a processor that fails, while it fails: issue 11, at every place where one may look."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.harness.service import ServiceProcess
from tests.receiver import Receiver, reply
from tests.wait import until

SECRET = "geheim4711"
CODE = """
def helper(payload):
    return int(payload)


def plain(payload):
    return helper(payload)


async def coroutine(payload):
    return helper(payload)


def batch(payloads):
    return [helper(payload) for payload in payloads]
"""
KINDS: Mapping[str, Mapping[str, object]] = {
    "plain": {},
    "coroutine": {},
    "batch": {"batch": 8},
    "process": {"pool": "process", "concurrency": 2},
    "process batch": {"pool": "process", "concurrency": 2, "batch": 8},
}


async def send(service: ServiceProcess, count: int, resource_id: str = "r") -> None:
    packets = [{"resource_id": resource_id, "index": n, "payload": f"{SECRET} {n}"} for n in range(count)]
    async with aiohttp.ClientSession() as session, session.post(f"{service.url}/v1/packets", json=packets) as answer:
        assert answer.status == 202


async def get(service: ServiceProcess, path: str) -> Any:  # noqa: ANN401 - JSON may be anything
    return (await service.get(path))[2]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_function_that_raises_is_seen_with_its_line(tmp_path: Path, kind: str) -> None:
    (tmp_path / "own.py").write_text(CODE)
    function = {"process": "plain", "process batch": "batch"}.get(kind, kind)
    place = "own.py, line 3, in helper"
    said = f"ValueError: invalid literal for int() with base 10: '{SECRET} 0' ({place})"
    settings = {"processor": f"own:{function}", "webhook": "none", **KINDS[kind]}
    async with ServiceProcess(tmp_path, **settings) as service:  # type: ignore[arg-type]
        service.environment = {"PYTHONPATH": str(tmp_path)}
        await service.start()
        await send(service, 60)

        async def all_tried() -> bool:
            shown = await get(service, "/v1/resources/r")
            return len(shown["retrying"]) == 60 and shown["retrying"][0]["due_in"] is not None

        await until(all_tried, 20.0)
        shown = await get(service, "/v1/resources/r")
        assert (shown["retrying"][0]["index"], shown["retrying"][0]["reason"]) == (0, said)
        assert said in shown["why_undelivered"]
        assert "next attempt in" in shown["why_undelivered"]
        one = await get(service, "/v1/resources/r/packets/0")
        assert (one["payload"], one["reason"]) == (f"{SECRET} 0", said)
        (failing,) = (await get(service, "/v1/status"))["failing"]
        assert failing["times"] >= 60
        assert place in failing["reason"]
        metrics = (await service.get("/metrics"))[2]
        assert re.search(r'collator_processor_failed_attempts_total{cause="exception"} [1-9]', str(metrics))
        await service.stop()
    log = service.log()
    lines = [line for line in log.splitlines() if 'event="attempts failed"' in line]
    assert 1 <= len(lines) <= 5
    assert all(f'reason="ValueError in {place}"' in line for line in lines)
    traced = [line for line in log.splitlines() if "exception=" in line]
    assert 1 <= len(traced) <= 3  # each process of a pool has one, and a batch and its packets
    assert all(r"return int(payload)\n" in line for line in traced)
    assert SECRET not in log


@pytest.mark.parametrize(("status", "cause"), [(401, "configuration"), (503, "service")])
async def test_a_service_that_takes_nothing_is_seen(tmp_path: Path, status: int, cause: str) -> None:
    answer = reply(status, "content-type: application/json", "retry-after: 30", body=b'{"detail": "no key"}')
    async with (
        Receiver(answer) as receiver,
        ServiceProcess(tmp_path, processor=receiver.url, webhook="none") as service,
    ):
        await service.start()
        await send(service, 3)

        async def not_ready() -> bool:
            return (await service.get("/readyz"))[0] == 503

        await until(not_ready, 10.0)

        async def recorded() -> bool:
            return bool((await get(service, "/v1/resources/r"))["retrying"])

        await until(recorded, 10.0)
        why = (await get(service, "/v1/resources/r"))["why_undelivered"]
        assert f"takes no packets: HTTP {status}; the next call is made in" in why
        assert f'HTTP {status}: {{"detail": "no key"}}' in why
        state = await get(service, "/v1/status")
        assert f"HTTP {status}" in state["reasons"][0]
        assert f'HTTP {status}: {{"detail": "no key"}}' in state["failing"][0]["reason"]
        assert "no key" not in str(await get(service, "/readyz"))
        metrics = (await service.get("/metrics"))[2]
        assert re.search(rf'collator_processor_failed_attempts_total{{cause="{cause}"}} [1-9]', str(metrics))
        await service.stop()
    log = service.log()
    assert f'answer="HTTP {status}"' in log
    assert "no key" not in log
