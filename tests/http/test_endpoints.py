"""`/v1/endpoints` over HTTP: a list, pause and resume, and who did it (R20, R23)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from collator.clock import rfc3339
from tests.http.listener import Harness, open_door
from tests.wait import until

pytestmark = pytest.mark.usefixtures("each_ledger_if_asked")

SENT_TO = {"configured": True, "paused": False, "paused_at": None, "reason": None, "why_not_sent": None}
SENT_TO |= {"next_try_in": None}


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[Harness]:
    async with open_door(tmp_path, endpoints=("crm", "archive")) as listener:
        yield listener


async def test_r20_the_list_has_every_endpoint_and_why_nothing_is_sent_to_one(listener: Harness) -> None:
    listener.sender.trouble["crm"] = "breaker open, next try in 12 s (HTTP 503)"
    listener.sender.tries["crm"] = 11.5
    await listener.ledger.pause("gone", reason="HTTP 410")
    listed = (await listener.ask("GET", "/v1/endpoints")).json["endpoints"]
    assert [one["name"] for one in listed] == ["archive", "crm", "gone"]
    assert listed[0] == {"name": "archive", **SENT_TO}
    assert listed[1] == {"name": "crm", **SENT_TO, "why_not_sent": listener.sender.trouble["crm"], "next_try_in": 11.5}
    assert (listed[2]["configured"], listed[2]["paused"], listed[2]["reason"]) == (False, True, "HTTP 410")


async def test_r23_a_person_pauses_and_resumes_and_is_named_in_the_log(listener: Harness) -> None:
    at = rfc3339(listener.clock.wall())
    with capture_logs() as logs:
        for _ in range(2):  # safe to repeat
            reply = await listener.ask("POST", "/v1/endpoints/crm/pause", b"")
            assert (reply.status, reply.json) == (
                200,
                {"name": "crm", **SENT_TO, "paused": True, "paused_at": at, "reason": "by a person"},
            )
        assert (await listener.ask("GET", "/v1/status")).json["paused"] == ["crm"]
        assert (await listener.ask("GET", "/readyz")).status == 200
        for _ in range(2):
            reply = await listener.ask("POST", "/v1/endpoints/crm/resume", b"")
            assert (reply.status, reply.json) == (200, {"name": "crm", **SENT_TO})
    assert (await listener.ask("GET", "/v1/status")).json["paused"] == []
    assert [(line["event"], line["endpoint"], line["by"]) for line in logs] == [
        ("endpoint paused", "crm", "a person"),
        ("endpoint resumed", "crm", "a person"),
    ]
    assert listener.sender.looked == 4


@pytest.mark.parametrize("verb", ["pause", "resume", "try", "test"])
async def test_an_endpoint_that_is_not_there_is_unknown(listener: Harness, verb: str) -> None:
    assert (await listener.ask("POST", f"/v1/endpoints/other/{verb}", b"")).problem["code"] == "unknown"
    assert (await listener.ask("POST", f"/v1/endpoints/crm/{verb}", b'{"force": true}')).problem["code"] == "malformed"


async def test_r23_one_that_is_no_longer_configured_can_be_resumed(listener: Harness) -> None:
    await listener.ledger.pause("gone", reason="HTTP 410")
    reply = await listener.ask("POST", "/v1/endpoints/gone/resume", b"")
    assert (reply.status, reply.json["paused"], reply.json["configured"]) == (200, False, False)
    assert await listener.ledger.paused() == {}


async def test_r23_one_is_tried_and_the_answer_says_whether_anything_is_under_way(listener: Harness) -> None:
    for name, under_way in (("crm", True), ("archive", False)):
        reply = await listener.ask("POST", f"/v1/endpoints/{name}/try", b"")
        assert (reply.status, reply.json) == (200, {"name": name, **SENT_TO, "under_way": under_way})
    assert listener.sender.tried == ["crm", "archive"]


async def test_r23_one_that_is_paused_or_gone_is_not_tried(listener: Harness) -> None:
    for name in ("crm", "gone"):
        await listener.ledger.pause(name, reason="HTTP 410")
    reply = await listener.ask("POST", "/v1/endpoints/crm/try", b"")
    assert (reply.status, reply.problem["code"]) == (409, "conflict")
    assert reply.problem["detail"] == "endpoint 'crm' is paused: resume it, and what is due to it is sent"
    assert (await listener.ask("POST", "/v1/endpoints/gone/try", b"")).problem["code"] == "unknown"
    assert listener.sender.tried == []


async def test_r20_a_receiver_is_tested_by_one_at_a_time(listener: Harness) -> None:
    listener.sender.may_answer.clear()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(listener.ask("POST", "/v1/endpoints/crm/test", b""))
        await until(lambda: listener.sender.under_test)
        second = await listener.ask("POST", "/v1/endpoints/crm/test", b"")
        assert (second.status, second.problem["code"]) == (503, "busy")
        assert second.problem["detail"] == "a test of endpoint 'crm' is under way"
        other = group.create_task(listener.ask("POST", "/v1/endpoints/archive/test", b""))
        await until(lambda: len(listener.sender.under_test) == 2)
        listener.sender.may_answer.set()
    for reply in (first.result(), other.result(), await listener.ask("POST", "/v1/endpoints/crm/test", b"")):
        assert (reply.status, reply.json["accepted"], reply.json["reason"]) == (200, True, "HTTP 204")
