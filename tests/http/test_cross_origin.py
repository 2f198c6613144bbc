"""Pages of other origins: those that are allowed may read, and nobody else, nor anything else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.http.listener import Harness, open_door, packet, request
from tests.http.listeners import TOKENS, known_tokens

APP = "https://app.example"


@pytest.fixture(scope="module")
async def listener(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Harness]:
    folder: Path = tmp_path_factory.mktemp("origins")
    async with open_door(folder, origins=[APP, "http://localhost:3000"]) as listener:
        await listener.post(packet())
        yield listener


@pytest.mark.parametrize("origin", [APP, "http://localhost:3000"])
@pytest.mark.parametrize("path", ["/v1/resources/r", "/v1/resources", "/v1/status", "/healthz"])
async def test_a_page_that_is_allowed_may_read(listener: Harness, origin: str, path: str) -> None:
    reply = await listener.ask("GET", path, origin=origin, sec_fetch_site="cross-site")
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (200, origin)
    assert reply.headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in reply.headers


async def test_it_may_follow_events_and_see_why_it_may_not(listener: Harness) -> None:
    async with listener.wire() as wire:
        await wire.send(request("GET", "/v1/resources/r/events", None, origin=APP))
        status, headers = await wire.head()
        assert (status, headers["access-control-allow-origin"], headers["vary"]) == (200, APP, "Origin")
    reply = await listener.ask("GET", "/v1/resources/nobody", origin=APP)
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (404, APP)


@pytest.mark.parametrize(
    "origin", ["https://app.example.evil", "http://app.example", "https://app.example:8443", "null", "*", f"{APP}/"]
)
async def test_a_page_of_any_other_origin_may_not(listener: Harness, origin: str) -> None:
    for method in ("GET", "OPTIONS"):
        reply = await listener.ask(method, "/v1/resources/r", origin=origin, access_control_request_method="GET")
        assert (reply.status, reply.problem["code"]) == (403, "cross_origin")
        assert "access-control-allow-origin" not in reply.headers
        assert reply.headers["vary"] == "Origin"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/packets"),
        ("POST", "/v1/resources/r/cancel"),
        ("POST", "/v1/resources/r/ticket"),
        ("DELETE", "/v1/resources/r"),
        ("PUT", "/v1/resources/r/packets/1"),
    ],
)
async def test_what_changes_anything_stays_refused(listener: Harness, method: str, path: str) -> None:
    reply = await listener.ask(method, path, b"{}", origin=APP)
    assert (reply.status, reply.problem["code"]) == (403, "cross_origin")
    reply = await listener.ask("OPTIONS", path, origin=APP, access_control_request_method=method)
    assert reply.status == 403
    assert "access-control-allow-methods" not in reply.headers


async def test_a_browser_that_asks_first_is_told(listener: Harness) -> None:
    reply = await listener.ask(
        "OPTIONS",
        "/v1/resources/r/events",
        origin=APP,
        access_control_request_method="GET",
        access_control_request_headers="authorization,last-event-id",
    )
    assert (reply.status, reply.body) == (200, b"")
    assert reply.headers["access-control-allow-origin"] == APP
    assert reply.headers["access-control-allow-methods"] == "GET, HEAD"
    assert reply.headers["access-control-allow-headers"] == "authorization, last-event-id"


async def test_a_foreign_host_is_refused_all_the_same(listener: Harness) -> None:
    for method in ("GET", "OPTIONS"):
        reply = await listener.ask(
            method, "/v1/resources/r", origin=APP, host="evil.example", access_control_request_method="GET"
        )
        assert (reply.status, reply.problem["code"]) == (421, "unknown_host")


async def test_an_answer_without_an_origin_is_not_kept_for_one_with(listener: Harness) -> None:
    reply = await listener.ask("GET", "/v1/resources/r")
    assert (reply.status, reply.headers["vary"]) == (200, "Origin")
    assert "access-control-allow-origin" not in reply.headers


async def test_without_the_setting_nothing_is_said_of_origins(tmp_path: Path) -> None:
    async with open_door(tmp_path) as listener:
        reply = await listener.ask("GET", "/healthz")
        assert "vary" not in reply.headers
        assert (await listener.ask("GET", "/healthz", origin=APP)).status == 403


async def test_the_cookie_of_our_own_page_does_not_count_for_it(tmp_path: Path) -> None:
    async with open_door(tmp_path, tokens=known_tokens, ui=True, origins=[APP]) as listener:
        body = json.dumps({"token": TOKENS["read"]}).encode()
        reply = await listener.ask("POST", "/ui/session", body, x_collator_page="1")
        cookie = reply.headers["set-cookie"].partition(";")[0]
        assert (await listener.ask("GET", "/v1/status", cookie=cookie, x_collator_page="1")).status == 200
        reply = await listener.ask("GET", "/v1/status", cookie=cookie, x_collator_page="1", origin=APP)
        assert (reply.status, reply.headers["access-control-allow-origin"]) == (401, APP)
        reply = await listener.ask("GET", "/v1/status", origin=APP, authorization=f"Bearer {TOKENS['read']}")
        assert reply.status == 200
