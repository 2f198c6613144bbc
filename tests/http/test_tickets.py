"""Tickets: the events of one resource, for a minute, without a token; and nothing else, nowhere and never again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from collator.signing import generate_secret, parse_secrets
from tests.harness.event_stream import events_of
from tests.http.followers import record
from tests.http.listener import Harness, Reply, open_door, packet, request
from tests.http.listeners import TOKENS, known_tokens
from tests.wait import until


def by(role: str) -> Any:  # noqa: ANN401 - fields
    return {"authorization": f"Bearer {TOKENS[role]}"}


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[Harness]:
    async with open_door(tmp_path, tokens=known_tokens) as listener:
        yield listener


async def ticket(listener: Harness, resource_id: str = "r") -> str:
    reply = await listener.ask("POST", f"/v1/resources/{resource_id}/ticket", **by("read"))
    assert (reply.status, reply.json["expires_in"]) == (200, 60)
    found: str = reply.json["ticket"]
    return found


async def events(listener: Harness, ticket: str, resource_id: str = "r", **more: str) -> Reply:
    return await listener.ask("GET", f"/v1/resources/{resource_id}/events?ticket={ticket}", None, **more)


async def refused(listener: Harness, ticket: str, resource_id: str = "r") -> str:
    reply = await events(listener, ticket, resource_id)
    assert (reply.status, reply.problem["code"]) == (401, "unauthorized")
    detail: str = reply.problem["detail"]
    return detail


async def test_a_ticket_opens_the_events_of_its_resource_before_the_first_packet(listener: Harness) -> None:
    found = await ticket(listener)
    async with listener.wire() as wire:
        await wire.send(request("GET", f"/v1/resources/r/events?after_seq=0&ticket={found}"))
        assert (await wire.head())[0] == 200
        await listener.post(packet(last=True), **by("send"))
        await record(listener, 0)
        assert [event.kind async for event in events_of(wire.chunks())] == ["output", "end"]


@pytest.mark.parametrize("resource_id", ["a%2Fb", "%C3%A9.%22", "R", "r.r"])
async def test_it_is_for_one_resource_however_that_is_written(listener: Harness, resource_id: str) -> None:
    found = await ticket(listener, resource_id)
    assert (await events(listener, found, resource_id)).status == 200
    if "%" in resource_id:
        assert (await events(listener, found, resource_id.lower())).status == 200
    assert "another resource" in await refused(listener, found)


async def test_it_opens_nothing_else(listener: Harness) -> None:
    found = await ticket(listener)
    await listener.post(packet(), **by("send"))
    for method, path in [
        ("GET", "/v1/resources/r"),
        ("GET", "/v1/resources/r/outputs"),
        ("GET", "/v1/events"),
        ("GET", "/v1/status"),
        ("POST", "/v1/resources/r/cancel"),
        ("POST", "/v1/resources/r/ticket"),
        ("POST", "/v1/resources/r/events"),
    ]:
        reply = await listener.ask(method, f"{path}?ticket={found}")
        assert reply.status == 401, (method, path)


async def test_it_ends_after_a_minute_and_a_stream_that_is_open_goes_on(
    listener: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000_000.0]
    monkeypatch.setattr(listener.app._tickets, "_now", lambda: now[0])
    found = await ticket(listener)
    async with listener.wire() as wire:
        await wire.send(request("GET", f"/v1/resources/r/events?ticket={found}"))
        assert (await wire.head())[0] == 200
        now[0] += 59.9
        assert (await events(listener, found)).status == 200
        now[0] += 0.2
        assert "has expired; ask for a new one" in await refused(listener, found)
        await listener.post(packet(last=True), **by("send"))
        await record(listener, 0)
        assert [event.kind async for event in events_of(wire.chunks())] == ["output", "end"]


async def test_none_can_be_made_or_changed(listener: Harness) -> None:
    found = await ticket(listener)
    until, who, signature = found.split(".")
    forged = [
        f"{int(until) + 1}.{who}.{signature}",
        f"{until}.{who}a.{signature}",
        f"{until}.{who}.{signature[:-1]}{'0' if signature[-1] != '0' else '1'}",
        f"{until}.{who}.{signature.upper()}",
        f"{until}.{who}",
        f"{until}.{who}.",
        "..",
        "%C3%A9",
        f"{found}.",
        "x" * 5000,
    ]
    for one in forged:
        await refused(listener, one)
    assert (await events(listener, found)).status == 200


async def test_a_token_counts_before_it(listener: Harness) -> None:
    found = await ticket(listener)
    assert (await events(listener, found, authorization="Bearer x")).status == 401
    assert (await events(listener, found, **by("send"))).status == 403
    assert (await events(listener, "x", **by("read"))).status == 200


async def test_who_may_not_read_gets_none(listener: Harness) -> None:
    assert (await listener.ask("POST", "/v1/resources/r/ticket")).status == 401
    assert (await listener.ask("POST", "/v1/resources/r/ticket", **by("send"))).status == 403


async def test_p5_its_streams_are_those_of_who_asked_for_it(listener: Harness) -> None:
    found = await ticket(listener)
    async with listener.wire() as wire:
        await wire.send(request("GET", f"/v1/resources/r/events?ticket={found}"))
        assert (await wire.head())[0] == 200
        assert listener.app._load.waits._held == {"read": 1}
    await until(lambda: listener.app._load.waits.used == 0)


async def test_nodes_with_one_secret_take_each_others_tickets(tmp_path: Path) -> None:
    old, new = generate_secret(), generate_secret()
    async with (
        open_door(tmp_path / "a", tokens=known_tokens, ticket_secrets=lambda: parse_secrets(old)) as one,
        open_door(tmp_path / "b", tokens=known_tokens, ticket_secrets=lambda: parse_secrets(f"{new}\n{old}")) as two,
        open_door(tmp_path / "c", tokens=known_tokens) as other,
    ):
        assert (await events(two, await ticket(one))).status == 200
        assert "another node" in await refused(one, await ticket(two))
        assert "another node" in await refused(other, await ticket(one))


async def test_it_is_never_logged(listener: Harness) -> None:
    with capture_logs() as logs:
        found = await ticket(listener)
        await events(listener, found)
        await refused(listener, found, "other")
        await refused(listener, found + "x")
        await listener.ask("GET", f"/v1/resources/r/events?ticket={found}&x=1")
    records = (await listener.ask("GET", "/v1/audit", **by("admin"))).body.decode()
    assert len(logs) >= 2
    for text in (str(logs), records):
        assert "/events" in text
        assert not any(part in text for part in found.split(".")[1:])


@pytest.mark.usefixtures("each_ledger")
async def test_where_no_token_is_needed_tickets_work_too(tmp_path: Path) -> None:
    async with open_door(tmp_path) as listener:
        reply = await listener.ask("POST", "/v1/resources/r/ticket")
        assert (await events(listener, reply.json["ticket"])).status == 200
        assert "another resource" in await refused(listener, reply.json["ticket"], "s")
