"""A retry of what has ended, over HTTP and by the receiver of webhooks: one resource, and all that fit (R16)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from collator.client import Client
from collator.errors import StorageLow, Unavailable
from collator.messages import Failure, Output, tasks_of
from collator.rules.resource import LedgerLimits
from collator.signing import ID
from tests.http.listener import Harness, Reply, open_door, packet
from tests.http.service import Running, running
from tests.wait import until

pytestmark = pytest.mark.usefixtures("each_ledger")


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[Harness]:
    async with open_door(tmp_path) as listener:
        yield listener


async def fail(listener: Harness, *names: str, reason: str = "no such word") -> None:
    """Resources of two packets, of which the second fails."""
    await listener.post([packet(index, name, last=index == 1) for name in names for index in range(2)])
    tasks = tasks_of(await listener.ledger.claim(capacity=1000))
    ends = [Output(one.lease, b"0") if one.key.index == 0 else Failure(one.lease, reason) for one in tasks]
    await listener.ledger.record(ends, capacity={})


async def process(listener: Harness) -> None:
    tasks = tasks_of(await listener.ledger.claim(capacity=1000))
    await listener.ledger.record([Output(one.lease, b"1") for one in tasks], capacity={})


async def retry(listener: Harness, said: object) -> Reply:
    return await listener.ask("POST", "/v1/resources/retry", json.dumps(said).encode())


async def states(listener: Harness) -> Mapping[str, str]:
    found = (await listener.ask("GET", "/v1/resources?limit=1000")).json["resources"]
    return {one["resource_id"]: one["state"] for one in found}


# With a service, and a receiver.


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as service:
        yield service


async def test_r16_what_failed_is_mended_and_told_by_one_more_webhook(service: Running) -> None:
    """A service that was away had 100 of 100 packets fail, and `retry` answered 409 `ended`."""
    service.host_check.close()
    await service.post([packet(0, payload=1), packet(1, payload={"fail": "away"}, last=True)])
    service.host_check.open()
    (early,) = await service.webhooks(1)
    assert early["data"]["failed"] == [{"index": 1, "reason": "away", "attempts": 1}]
    reply = await service.ask("POST", "/v1/resources/r/retry", b"")
    assert (reply.status, reply.json) == (200, {"resource_id": "r", "retried": 1})
    (_, late) = await service.webhooks(2)
    first, second = (webhook.headers[ID] for webhook in service.receiver.received)
    assert first != second
    assert (late["type"], late["data"]["supersedes"]) == ("resource.incomplete", first)
    assert "supersedes" not in early["data"]
    report = await service.resource()
    assert (report["webhook_id"], report["supersedes"]) == (second, first)
    await service.quiet()
    listed = (await service.ask("GET", "/v1/deliveries?resource_id=r")).json["deliveries"]
    assert [one["webhook_id"] for one in listed] == [first, second]
    for one in listed:
        shown = (await service.ask("GET", f"/v1/deliveries/{one['id']}")).json
        assert (shown["state"], len(shown["log"])) == ("delivered", 1)
    assert "collator_retried_packets_total 1.0" in (await service.ask("GET", "/metrics")).body.decode()


async def test_r24_each_generation_is_replayed_with_its_own_body(service: Running) -> None:
    await service.post([packet(0, payload=1), packet(1, payload={"fail": "bad"}, last=True)])
    await service.webhooks(1)
    await service.ask("POST", "/v1/resources/r/retry", b"")
    await service.webhooks(2)
    await service.quiet()
    said = {"state": "delivered", "resource_id": "r"}
    assert (await service.ask("POST", "/v1/deliveries/replay", said)).json["replayed"] == 2
    await service.webhooks(4)
    bodies: dict[str, set[bytes]] = {}
    for webhook in service.receiver.received:
        bodies.setdefault(webhook.headers[ID], set()).add(webhook.body)
    assert [len(some) for some in bodies.values()] == [1, 1]


# One resource.


async def test_r16_a_retry_may_be_repeated_and_says_what_it_did(listener: Harness) -> None:
    await fail(listener, "r")
    listener.workers.notified = 0
    replies = [await listener.ask("POST", "/v1/resources/r/retry", b"") for _ in range(2)]
    assert [(reply.status, reply.json["retried"]) for reply in replies] == [(200, 1), (200, 0)]
    assert listener.workers.notified == 1
    await process(listener)
    problem = (await listener.ask("POST", "/v1/resources/r/retry", b"")).problem
    assert (problem["status"], problem["code"]) == (409, "ended")
    assert "nothing to retry" in problem["detail"]


async def test_r9_what_has_ended_is_not_opened_again_while_nothing_new_is_taken(
    listener: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fail(listener, "r")
    await listener.post(packet(0, "open"))
    monkeypatch.setattr(listener.intake, "_unavailable", lambda: StorageLow(retry_after=5.0))
    for path, body in (("r/retry", b""), ("retry", b'{"prefix":"r"}')):
        reply = await listener.ask("POST", f"/v1/resources/{path}", body)
        assert (reply.status, reply.headers["retry-after"]) == (507, "5")
    assert (await listener.ask("POST", "/v1/resources/open/retry", b"")).status == 200
    assert (await retry(listener, {"prefix": "r", "dry_run": True})).json["resources"] == 1


# All that fit.


async def test_r16_what_would_be_retried_is_counted_first(listener: Harness) -> None:
    await fail(listener, "a1", "a2", "b")
    said = {"resources": 2, "packets": 2, "next_cursor": None}
    for _ in range(2):
        assert (await retry(listener, {"prefix": "a", "dry_run": True})).json == said
    assert (await listener.ask("GET", "/v1/audit")).json["records"] == []
    assert {*(await states(listener)).values()} == {"incomplete"}
    assert (await retry(listener, {"prefix": "a"})).json == said
    assert await states(listener) == {"a1": "open", "a2": "open", "b": "incomplete"}
    assert (await retry(listener, {"prefix": "a"})).json["resources"] == 0


FILTERS: Mapping[str, tuple[object, int]] = {
    "state": ({"state": "incomplete"}, 3),
    "open": ({"state": "open"}, 0),
    "reason": ({"reason": "memory"}, 1),
    "completed_by": ({"completed_by": "last", "prefix": None}, 3),
    "another end": ({"completed_by": "idle_timeout"}, 0),
    "since": ({"since": "2000-01-01T00:00:00+01:00", "cursor": None}, 3),
    "later": ({"since": "2999-01-01T00:00:00Z"}, 0),
}


@pytest.mark.parametrize("dry_run", [True, False, None])
@pytest.mark.parametrize(("said", "number"), FILTERS.values(), ids=FILTERS)
async def test_r16_a_filter_says_which(
    listener: Harness, said: dict[str, object], number: int, dry_run: bool | None
) -> None:
    await fail(listener, "a", "b")
    await fail(listener, "c", reason="out of memory")
    assert (await retry(listener, {**said, "dry_run": dry_run})).json["resources"] == number


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"dry_run": True},
        {"prefix": ""},
        {"reason": ""},
        {"state": "collated"},
        {"state": "cancelled"},
        {"completed_by": "nobody"},
        {"since": "2026-11-24"},
        {"prefix": 7},
        {"prefix": "a", "dry_run": "yes"},
        {"prefix": "a", "cursor": "nonsense"},
        {"prefix": "a", "resource_id": "a"},
        [],
        None,
    ],
)
async def test_a_retry_says_what_it_wants(listener: Harness, said: object) -> None:
    await fail(listener, "a")
    assert (await retry(listener, said)).problem["code"] == "malformed"
    assert await states(listener) == {"a": "incomplete"}


@pytest.mark.parametrize("dry_run", [True, False])
async def test_p5_a_retry_goes_by_steps_and_says_where_to_go_on(
    listener: Harness, monkeypatch: pytest.MonkeyPatch, dry_run: bool
) -> None:
    await fail(listener, *(f"r{number}" for number in range(5)))
    monkeypatch.setattr("collator.web.retries._LOOKED", 1)
    monkeypatch.setattr("collator.web.retries._STEPS", 2)
    numbers, cursor = [], ""
    while cursor is not None:
        answer = (await retry(listener, {"prefix": "r", "dry_run": dry_run, "cursor": cursor})).json
        numbers.append(answer["resources"])
        cursor = answer["next_cursor"]
    assert numbers == [2, 2, 1]
    assert {*(await states(listener)).values()} == {"incomplete" if dry_run else "open"}


async def test_r9_a_retry_that_a_limit_stops_says_what_it_did_and_then_why(tmp_path: Path) -> None:
    async with open_door(tmp_path, ledger_limits=LedgerLimits(max_open=5)) as listener:
        for name in ("r0", "r1", "r2"):
            await fail(listener, name)
        await listener.post([packet(0, name) for name in ("x", "y", "z")])
        answer = (await retry(listener, {"prefix": "r"})).json
        assert (answer["resources"], answer["packets"]) == (2, 2)
        reply = await retry(listener, {"prefix": "r", "cursor": answer["next_cursor"]})
        assert (reply.status, reply.problem["code"]) == (503, "unavailable")
        assert "max_open" in reply.problem["detail"]
        assert int(reply.headers["retry-after"]) >= 1
        assert await states(listener) == dict.fromkeys(("r0", "r1", "x", "y", "z"), "open") | {"r2": "incomplete"}


async def test_a_resource_that_is_called_retry_is_one_like_others(listener: Harness) -> None:
    await fail(listener, "retry")
    assert (await listener.ask("GET", "/v1/resources/retry")).json["failed"] == 1
    assert (await listener.ask("POST", "/v1/resources/retry/retry", b"")).json["retried"] == 1
    assert (await listener.ask("POST", "/v1/resources/retry/cancel", b"")).json["state"] == "cancelled"
    reply = await listener.ask("PUT", "/v1/resources/retry", b"{}")
    assert (reply.status, reply.headers["allow"]) == (405, "POST")


async def test_the_client_retries_all_and_says_how_far_it_came(tmp_path: Path) -> None:
    async with running(tmp_path, max_open=2) as service, Client(service.service.url) as client:
        for name in ("a", "b", "c"):
            await service.post(packet(0, name, payload={"fail": "bad"}, last=True))
            await service.stored(open=0)
        service.host_check.close()
        assert await client.retry_all(state="incomplete", dry_run=True) == {"resources": 3, "packets": 3}
        with pytest.raises(Unavailable, match="2 resources retried before") as caught:
            await client.retry_all(state="incomplete")
        assert "max_open" in str(caught.value)
        service.host_check.open()
        await service.stored(open=0)
        await until(lambda: len({one.headers[ID] for one in service.receiver.received}) == 5, 10.0)


async def test_a_result_has_what_its_webhook_says(service: Running) -> None:
    await service.post([packet(0, payload=1), packet(1, payload={"fail": "bad"}, last=True)])
    await service.webhooks(1)
    async with Client(service.service.url) as client:
        assert "supersedes" not in await client.result("r")
        await client.retry("r")
        (_, told) = await service.webhooks(2)
        result: Mapping[str, Any] = await client.result("r")
    assert result == told["data"]
