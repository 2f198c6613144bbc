"""By which names a service may be asked, and from which pages."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.http.listener import Harness, ndjson, open_door, packet
from tests.http.service import running


@pytest.fixture(scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Harness]:
    """One listener for what changes nothing."""
    async with open_door(tmp_path_factory.mktemp("shared")) as listener:
        yield listener


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "127.0.0.1:8000", "[::1]", "10.0.0.7:8000", "[fe80::7]:80"]
)
async def test_the_own_names_and_every_address_are_answered(shared: Harness, host: str) -> None:
    assert (await shared.ask("GET", "/healthz", host=host)).status == 200
    assert (await shared.ask("GET", "/healthz", host=host, origin=f"http://{host}")).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "2130706433",
        "",
        "evil@localhost",
        "localhost:x",
        "[localhost",
        "localhost]",
        "[localhost]",
        "[127.0.0.1]",
        "[::1",
        "::1",
        "127.0.0.1:800000",
    ],
)
async def test_a_foreign_host_is_refused(shared: Harness, host: str) -> None:
    """DNS rebinding: a page of evil.example whose name means 127.0.0.1 still says its own name."""
    for reply in [await shared.ask("GET", "/healthz", host=host), await shared.post(packet(), host=host)]:
        assert (reply.status, reply.problem["code"]) == (421, "unknown_host")


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "http://evil.example",
        "http://localhost",
        "http://127.0.0.1:9",
        "http://10.0.0.7",
        "127.0.0.1",
        "file://",
        "ftp://127.0.0.1",
        "http:/127.0.0.1",
        "http://127.0.0.1/",
        "HTTP://127.0.0.1",
        "",
    ],
)
async def test_a_page_of_another_origin_is_refused(shared: Harness, origin: str) -> None:
    for reply in [
        await shared.ask("GET", "/healthz", origin=origin),
        await shared.post(packet(), origin=origin),
        await shared.ask("OPTIONS", "/v1/packets", origin=origin, access_control_request_method="POST"),
    ]:
        assert (reply.status, reply.problem["code"]) == (403, "cross_origin")
        assert not [name for name in reply.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("target", "host", "status"),
    [
        ("http://localhost/healthz", "localhost", 200),
        ("HTTP://LOCALHOST:8000/healthz", "127.0.0.1", 200),
        ("https://127.0.0.1/healthz", "127.0.0.1", 421),
        ("http://[::1]:8000/healthz", "localhost", 200),
        ("http://evil.example/healthz", "localhost", 421),
        ("http://localhost/healthz", "evil.example", 421),
        ("http://localhost", "localhost", 404),
        ("http://localhost?x", "localhost", 404),
    ],
)
async def test_a_whole_url_is_taken_if_both_names_are_known(
    shared: Harness, target: str, host: str, status: int
) -> None:
    """RFC 9112, 3.2.2: a server takes what is meant for a proxy, and the host in it counts."""
    assert (await shared.ask("GET", target, host=host)).status == status


async def test_the_path_and_the_query_of_a_whole_url_are_taken_as_they_were_sent(shared: Harness) -> None:
    body = ndjson(packet(0, "a/b"))
    target = "http://localhost/v1/packets?receipts=all"
    reply = await shared.ask("POST", target, body, host="localhost", media_type="application/x-ndjson")
    assert [line.get("status", line.get("done")) for line in reply.lines] == ["accepted", True]
    reply = await shared.ask("GET", "http://localhost/v1/resources/a%2Fb", host="localhost")
    assert reply.json["resource_id"] == "a/b"


async def test_an_origin_is_compared_with_the_host_of_a_whole_url(shared: Harness) -> None:
    for origin, status in (("http://localhost:1", 200), ("http://127.0.0.1", 403)):
        reply = await shared.ask("GET", "http://localhost:1/healthz", host="127.0.0.1", origin=origin)
        assert reply.status == status


@pytest.mark.parametrize(
    ("site", "status"),
    [
        ("cross-site", 403),
        (" cross-site \t", 403),
        ("same-site", 403),
        ("same-origin", 200),
        ("none", 200),
        ("", 200),
    ],
)
async def test_a_page_that_says_no_origin_is_known_by_its_site(shared: Harness, site: str, status: int) -> None:
    """A browser says no `Origin` where a page asks for an image or a script; where it comes from it says always."""
    reply = await shared.ask("GET", "/healthz", sec_fetch_site=site)
    assert reply.status == status
    assert status == 200 or "Sec-Fetch-Site" in reply.problem["detail"]


async def test_a_host_is_wanted_where_any_is_taken(tmp_path: Path) -> None:
    async with running(tmp_path, allow_host=("*",)) as service:
        for host, status in (("any.example", 200), ("my_service:80", 200), ("", 421), ("[any", 421), ("a b", 421)):
            assert (await service.ask("GET", "/healthz", host=host)).status == status


async def test_the_refusal_of_a_name_says_what_to_do(shared: Harness) -> None:
    reply = await shared.ask("GET", "/healthz", host="collator.example")
    assert "--allow-host" in reply.problem["detail"]
    assert "IP address" in reply.problem["detail"]


async def test_where_other_machines_reach_it_the_name_of_this_one_is_known(tmp_path: Path) -> None:
    name = socket.gethostname()
    async with running(tmp_path, host="0.0.0.0", insecure=True, allow_host=("collator.example",)) as service:  # noqa: S104
        for host in (name, f"{name.upper()}:8000", "collator.example", "10.0.0.7:8000", "localhost"):
            assert (await service.ask("GET", "/healthz", host=host)).status == 200
        assert (await service.ask("GET", "/healthz", host="evil.example")).status == 421


async def test_on_the_loopback_address_the_name_of_the_machine_is_a_foreign_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "desk")
    async with running(tmp_path) as service:
        assert (await service.ask("GET", "/healthz", host="desk")).status == 421
