"""The rules of design §3 that show over HTTP and in webhooks; the others' tests are beside.

Each test carries the number of its rule, and the last one sees to it that none is forgotten.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.http.listener import PATIENCE, ndjson, packet
from tests.http.service import Running, running
from tests.wait import until

pytestmark = pytest.mark.usefixtures("each_ledger")

CLOSED = 409
FAILS = {"fail": "no such word"}


async def ended(it: Running, state: str, completed_by: str | None, resource_id: str = "r") -> dict[str, Any]:
    """The report of a resource that must have ended so; waits for what only time brings."""
    if (await it.resource(resource_id))["state"] == "open":
        await it.stored(open=0)
    report = await it.resource(resource_id)
    assert (report["state"], report["completed_by"]) == (state, completed_by)
    return report


async def test_r4_last_or_total_says_how_many_and_metadata_goes_into_the_webhook(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        await it.post([packet(1, "a", last=True), packet(0, "a", metadata={"b": 2, "a": "ü"})])
        await it.post([packet(0, "b", total=2), packet(1, "b", total=2, last=True)])
        said = {webhook["data"]["resource_id"]: webhook["data"] for webhook in await it.webhooks(2)}
    assert {name: (data["total"], data["metadata"]) for name, data in said.items()} == {
        "a": (2, {"a": "ü", "b": 2}),
        "b": (2, {}),
    }


async def test_r4_a_total_that_disagrees_with_last_is_no_packet(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        assert (await it.post(packet(1, last=True, total=3))).problem["code"] == "malformed"
        assert (await it.ask("PUT", "/v1/resources/r/packets/1?last=true&total=3", 0)).problem["code"] == "malformed"


async def test_r5_a_repeat_may_still_fix_the_total_and_withdraws_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        assert (await it.post(packet(0))).status == 202
        await it.quiet()
        assert (await it.post(packet(0, last=True))).json["status"] == "duplicate"
        (webhook,) = await it.webhooks(1)
        assert (await it.post(packet(0))).json["status"] == "duplicate"
    assert (webhook["type"], webhook["data"]["total"]) == ("resource.collated", 1)


async def test_r7_packets_of_a_batch_count_one_by_one_in_order(tmp_path: Path) -> None:
    given = [packet(0), packet(0, payload="other"), packet(0), packet(2), packet(1, last=True), packet(2, last=True)]
    async with running(tmp_path) as it:
        it.host_check.close()
        array = [receipt["status"] for receipt in (await it.post(given)).json["receipts"]]
        lines = ndjson(*({**one, "resource_id": "s"} for one in given))
        reply = await it.ask("POST", "/v1/packets?receipts=all", lines, media_type="application/x-ndjson")
    stream = [line["status"] for line in reply.lines[:-1]]
    assert array == stream == ["accepted", "conflict", "duplicate", "accepted", "conflict", "duplicate"]


async def test_r10_distinct_indexes_are_counted_and_the_last_may_come_first(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        await it.post([packet(2, payload=["c"], last=True), packet(0, payload=["a"]), packet(0, payload=["a"])])
        await it.quiet()
        report = await it.resource()
        assert (report["state"], report["received"], report["missing"]) == ("open", 2, [[1, 1]])
        await it.post(packet(1, payload=["b"]))
        (webhook,) = await it.webhooks(1)
        assert webhook["data"]["outputs"] == [["a"], ["b"], ["c"]]
        assert await ended(it, "collated", "last")


async def test_r11_an_id_that_opens_anew_is_another_generation(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        await it.post(packet(0, last=True))
        await it.quiet()
        first = (await it.resource())["webhook_id"]
        assert (await it.ask("DELETE", "/v1/resources/r")).status == 200
        await it.post(packet(0, payload="second", last=True))
        await it.webhooks(2)
        ids = [webhook.webhook_id for webhook in it.receiver.received]
        assert ids == [first, (await it.resource())["webhook_id"]]
    assert len({*ids}) == 2


async def test_r12_an_outcome_for_a_closed_resource_is_dropped_and_counted(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        it.host_check.close()
        await it.post([packet(0), packet(1, "s", last=True), packet(0, "s")])
        assert (await it.ask("POST", "/v1/resources/r/cancel")).json["state"] == "cancelled"
        it.host_check.open()
        await it.webhooks(1)
        await until(lambda: b'collator_outcomes_dropped_total{reason="closed"} 1.0' in it.service.metrics.text())
        assert (await ended(it, "cancelled", None))["done"] == 0
        assert (await it.ask("GET", "/v1/resources/r/outputs")).json["outputs"] == []
        assert [webhook.webhook_id for webhook in it.receiver.received] == [(await it.resource("s"))["webhook_id"]]


async def test_r13_silence_closes_only_what_waits_for_its_sender(tmp_path: Path) -> None:
    async with running(tmp_path, idle_timeout=60.0) as it:
        await it.post(packet(0))
        await it.quiet()
        it.host_check.close()
        await it.post(packet(0, "busy"))
        it.clock.advance(61.0)
        await it.stored(open=1)
        report = await ended(it, "incomplete", "idle_timeout")
        assert report["total"] is None
        assert (await it.resource("busy"))["state"] == "open"
        (webhook,) = await it.webhooks(1)
    assert (webhook["type"], webhook["data"]["completed_by"]) == ("resource.incomplete", "idle_timeout")


async def test_r14_a_deadline_closes_whatever_is_there(tmp_path: Path) -> None:
    async with running(tmp_path, deadline=60.0) as it:
        it.host_check.close()
        await it.post(packet(0))
        it.clock.advance(61.0)
        report = await ended(it, "incomplete", "deadline")
        assert report["unfinished"] == [[0, 0]]
        (webhook,) = await it.webhooks(1)
    assert webhook["data"]["unfinished"] == [[0, 0]]


@pytest.mark.parametrize(
    ("indexes", "total", "state"), [((0, 1), None, "collated"), ((0, 2), None, "incomplete"), ((0,), 3, "incomplete")]
)
async def test_r15_force_closes_now(tmp_path: Path, indexes: tuple[int, ...], total: int | None, state: str) -> None:
    async with running(tmp_path) as it:
        await it.post([packet(index, total=total) for index in indexes])
        await it.quiet()
        assert (await it.ask("POST", "/v1/resources/r/complete", {"force": True})).json["state"] == state
        (webhook,) = await it.webhooks(1)
    assert (webhook["type"], webhook["data"]["completed_by"]) == (f"resource.{state}", "forced")


@pytest.mark.parametrize(
    ("on_failure", "state", "completed_by"),
    [("incomplete", "incomplete", "last"), ("fail_fast", "incomplete", "failure"), ("hold", "open", None)],
)
async def test_r16_what_a_failed_packet_means(
    tmp_path: Path, on_failure: str, state: str, completed_by: str | None
) -> None:
    async with running(tmp_path, on_failure=on_failure) as it:
        await it.post([packet(0, payload=FAILS), packet(2, last=True)])
        await it.stored(waiting=0)
        assert (await it.resource())["state"] == ("incomplete" if on_failure == "fail_fast" else "open")
        await it.post(packet(1))
        await it.quiet()
        report = await it.resource()
    assert (report["state"], report["completed_by"]) == (state, completed_by)
    assert report["failures"] == [{"index": 0, "reason": "no such word", "attempts": 1}]


async def test_r17_a_webhook_says_what_ended_its_resource_and_when(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        await it.post([packet(0, "last", last=True), packet(0, "total"), packet(0, "forced")])
        await it.ask("POST", "/v1/resources/total/complete", {"total": 1})
        await it.ask("POST", "/v1/resources/forced/complete", {"force": True})
        webhooks = {webhook["data"]["resource_id"]: webhook for webhook in await it.webhooks(3)}
        for name, webhook in webhooks.items():
            report = await it.resource(name)
            assert webhook["data"]["completed_by"] == report["completed_by"] == name
            assert webhook["timestamp"] == report["closed_at"]


async def test_r18_an_incomplete_body_has_no_outputs_but_what_there_is_and_what_is_not(tmp_path: Path) -> None:
    async with running(tmp_path) as it:
        await it.post([packet(0, payload="a"), packet(1, payload=FAILS), packet(4, payload="e")])
        await it.quiet()
        it.host_check.close()
        await it.post(packet(7))
        await it.ask("POST", "/v1/resources/r/complete", {"force": True})
        (webhook,) = await it.webhooks(1)
    assert (webhook["type"], webhook["data"]) == (
        "resource.incomplete",
        {
            "resource_id": "r",
            "completed_by": "forced",
            "total": None,
            "metadata": {},
            "partial": [{"index": 0, "output": "a"}, {"index": 4, "output": "e"}],
            "missing": [[2, 3], [5, 6]],
            "unfinished": [[7, 7]],
            "failed": [{"index": 1, "reason": "no such word", "attempts": 1}],
        },
    )


async def test_r19_an_output_beyond_its_limit_fails_its_packet_with_that_reason(tmp_path: Path) -> None:
    async with running(tmp_path, max_output=10, processor_retries=0) as it:
        await it.post([packet(0, payload="x" * 9), packet(1, payload="ok", last=True)])
        await it.quiet()
        (failure,) = (await ended(it, "incomplete", "last"))["failures"]
    assert failure["index"] == 0
    assert "10" in failure["reason"]


async def test_r25_what_was_delivered_is_removed_after_the_retention_and_remembered_for_a_while(tmp_path: Path) -> None:
    async with running(tmp_path, retention=60.0, remember=600.0) as it:
        await it.post([packet(0, last=True)])
        await it.quiet()
        assert (await it.post(packet(0, payload="late"))).json["status"] == "duplicate"
        assert (await it.post(packet(5))).problem["code"] == "closed"
        it.clock.advance(61.0)
        await it.stored(collated=0)
        assert (await it.ask("GET", "/v1/resources/r")).problem["code"] == "unknown"
        assert (await it.post(packet(0, payload="later"))).json["status"] == "duplicate"
        assert (await it.post(packet(5))).problem["code"] == "closed"
        it.clock.advance(601.0)
        with anyio.fail_after(PATIENCE):
            while (await it.post(packet(5))).status == CLOSED:
                pass
        assert (await it.resource("r"))["received"] == 1


def test_every_rule_has_a_test_here_that_carries_its_number() -> None:
    tests = re.findall(
        r"def test_((?:r\d+_|p\d+_)+)", "\n".join(path.read_text() for path in Path(__file__).parent.glob("*.py"))
    )
    found = {int(number) for name in tests for number in re.findall(r"r(\d+)_", name)}
    assert found >= {*range(1, 27)}
