"""Probes: by which names each listener may be asked, and from which pages; in forms by which others were deceived."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from collator.web.host_check import OWN, HostCheck
from collator.web.problems import HttpProblem
from tests.http.listener import request
from tests.http.listeners import ACT, LISTENERS, Listener, calling

ADDRESSES = (
    "127.0.0.1", "127.0.0.1:", "127.0.0.1:80", "127.0.0.1:65535", "10.0.0.7", "192.168.0.1:8000", "255.255.255.255",
    "[::1]", "[::1]:", "[::1]:8000", "[::]", "[fe80::7]:80", "[::ffff:127.0.0.1]", "[2001:DB8::1]",
    "[0:0:0:0:0:0:0:1]",
)  # fmt: skip
"""A page has an address for its host only if it was loaded from there."""
OURS = ("localhost", "LOCALHOST", "LocalHost:80", "localhost:", "localhost:8000")
NAMED = ("collator.example", "COLLATOR.EXAMPLE", "collator.example:443")
"""Where a setting allows it."""
FOREIGN = (
    "evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example",
    "evil.example.localhost", "localhost.", "127.0.0.1.", "xlocalhost", "localhostx", "local_host",
    "collator.example.", "xcollator.example", "collator.example.evil.example", "2130706433", "0x7f000001",
    "0x7f.0.0.1", "017700000001", "0177.0.0.1", "127.1", "127.0.1", "127.0.0.01", "127.0.0.256", "127.0.0.1.1",
    "1.2.3", "metadata", "169.254.169.254.nip.io", "~", "-", ".", "..", "a" * 300,
)  # fmt: skip
"""A name like others, also where people read an address: only what can be no name is one."""
INVALID = (
    "", " ", ":", ":80", "localhost:x", "localhost:-1", "localhost:800000", "localhost:80:80", "localhost: 80",
    "local host", "localhost,evil.example", "localhost, localhost", "localhost;", "localhost/", "localhost/x",
    "localhost?x", "localhost#x", "evil@localhost", "localhost@evil.example", "http://localhost", "//localhost",
    "localhost\\", "localhost%00", "localhost%2e", "%6cocalhost", "[localhost", "localhost]", "[localhost]",
    "[127.0.0.1]", "[::1", "::1]", "::1", "[::1]x", "[::1]]", "[[::1]]", "x[::1]", "[::1]:x", "[]", "[:]:",
    "[fe80::1%25eth0]", "[fe80::1%eth0]", "[::1%00]", "[v1.x]", "[::g]", "l\xf6calhost", "[:::::]", "[1:2]",
    "[1:2:3:4:5:6:7:8:9]", "[.:.]", "\xe4vil.example", "*", "*.example", "'localhost'", '"localhost"', "(localhost)",
    "localhost\t80", "localhost$",
)  # fmt: skip
"""What names no host."""


@pytest.fixture(scope="module", params=LISTENERS)
async def listener(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Listener]:
    async with LISTENERS[request.param](tmp_path_factory.mktemp("probed")) as listener:
        yield listener


def passes(host_check: HostCheck, host: str, **fields: str) -> bool:
    headers = {
        b"host": host.encode("latin-1"),
        **{name.encode(): value.encode("latin-1") for name, value in fields.items()},
    }
    try:
        host_check.check(headers)
    except HttpProblem as refusal:
        return refusal.kind.status not in {403, 421}
    return True


@pytest.mark.parametrize(
    ("hosts", "known"),
    [
        (OWN, {*ADDRESSES, *OURS}),
        ((), {*ADDRESSES}),
        ((*OWN, "collator.example"), {*ADDRESSES, *OURS, *NAMED}),
        (None, {*ADDRESSES, *OURS, *NAMED, *FOREIGN}),
    ],
    ids=["its own", "none", "a name that is allowed", "any"],
)
def test_the_hosts_that_pass_are_these(hosts: tuple[str, ...] | None, known: set[str]) -> None:
    every = {*ADDRESSES, *OURS, *NAMED, *FOREIGN, *INVALID}
    host_check = HostCheck(hosts)
    assert {host for host in every if passes(host_check, host)} == known


async def test_each_listener_takes_these_hosts_and_no_others(listener: Listener) -> None:
    wrong, before = [], listener.effects()
    async with calling(listener.port) as caller:
        for host in (*ADDRESSES, *OURS, *NAMED, *FOREIGN, *INVALID):
            known = host in ADDRESSES or host in OURS
            reply = await caller.ask(ACT.replace(b"127.0.0.1", host.encode("latin-1"), 1))
            fits = reply.status < 400 if known else reply.status == 421
            wrong += [] if fits else [f"{host}: {reply.status}"]
    assert wrong == []
    assert listener.effects() - before <= len(ADDRESSES) + len(OURS)


def foreign_origins(host: str) -> list[str]:
    """Origins like that of *host*, which are those of others."""
    name, _, port = host.partition(":")
    return [
        "", "null", "NULL", "*", name, host, f"//{host}", f"http:{host}", f"http:/{host}", f"http:///{host}", f"http://{host}/",
        f"http://{host}.", f"http://{host}.evil.example", f"http://{host}@evil.example", f"http://evil.example/{host}",
        f"http://evil.example?{host}", f"http://evil.example#{host}", f"http://x{host}", f"http://x.{host}", f"http://{host}0",
        f"http://{name}:{int(port or 80) + 1}", f"ftp://{host}", f"file://{host}", f"ws://{host}", f"data://{host}",
        f"javascript://{host}", f"chrome-extension://{host}", f"HTTP://{host}", f"xhttp://{host}", f"http://{host} ",
        f"http://{host}, http://{host}", f"http://{host} http://evil.example", f"http://{host}\\", f"http://{host}%00",
        f"http://[{name}]:{port}", "http://", "https://", "http://evil.example", "https://evil.example:8000",
        "about:blank",
    ]  # fmt: skip


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:8000", "collator.example:8000"])
def test_the_page_of_another_origin_never_passes(host: str) -> None:
    for hosts in ((*OWN, "collator.example"), None):
        host_check = HostCheck(hosts)
        assert [origin for origin in foreign_origins(host) if passes(host_check, host, origin=origin)] == []
        assert [
            origin for origin in (f"http://{host}", f"https://{host}") if not passes(host_check, host, origin=origin)
        ] == []


async def test_no_listener_acts_for_the_page_of_another_origin(listener: Listener) -> None:
    wrong, before = [], listener.effects()
    async with calling(listener.port) as caller:
        for origin in foreign_origins("127.0.0.1:8000"):
            fields = f"127.0.0.1:8000\r\norigin: {origin}".encode("latin-1")
            reply = await caller.ask(ACT.replace(b"127.0.0.1", fields, 1))
            # A blank behind a value is no part of it.
            wrong += [] if reply.status == 403 or origin.endswith(" ") else [f"{origin}: {reply.status}"]
        for site, status in (("cross-site", 403), ("same-site", 403)):
            reply = await caller.ask(ACT.replace(b"127.0.0.1", f"127.0.0.1\r\nsec-fetch-site: {site}".encode(), 1))
            wrong += [] if reply.status == status else [f"{site}: {reply.status}"]
        asked = request("OPTIONS", "/v1/packets", origin="http://evil.example", access_control_request_method="POST")
        reply = await caller.ask(asked)
        assert not [name for name in reply.headers if name.startswith("access-control")]
    assert wrong == []
    assert listener.effects() - before <= 1
