"""The page at `/`, over real sockets: its files, its policy, and the session of a browser."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urljoin

import pytest

import collator.web.ui
from collator.tokens import Tokens
from collator.web.ui.assets import load_assets
from tests.http.listener import Harness, Reply, open_door, packet, request
from tests.http.listeners import TOKENS, known_tokens

pytestmark = pytest.mark.anyio

STATIC = Path(collator.web.ui.__file__).parent / "static"
LICENCES = ("LICENSE-htm.txt", "LICENSE-preact.txt")
BUDGET = 200 * 1024
"""Bytes over the wire of the whole page."""
POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "connect-src": "'self'",
    "img-src": "'self' data:",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}
VENDORED = {
    "preact-10.29.8.js": "c30e721ebfdc6e2ad4c18c14d2dfb82667829c8aec27de1207774e3fc16858a8",
    "preact-hooks-10.29.8.js": "a6ee626f2d01570592dd569a792e3f050154aa02890eead8c223fa3ed5aa3d5a",
    "htm-3.1.1.js": "ab33dd3f38059b9be4d5f5350128eefb2356639c4e0bbe9d9e8b3ba75847e9e4",
    "LICENSE-preact.txt": "1fe6958409c8c257a70c587a18b6f7f412b179b456630790d30b2ec9a8e4b7d4",
    "LICENSE-htm.txt": "740725f7252e750af735d0028cc534970772f513331e9f68150fede8fb3ce00f",
}
"""The sha256 of what the packages of the same names and versions hold, as they were published."""
OWN = {"x_collator_page": "1"}
EVIL = {"origin": "https://evil.example"}
CROSS = {"sec_fetch_site": "cross-site"}


class Valid:
    """The tokens that a test may take back."""

    def __init__(self) -> None:
        self.tokens = known_tokens()

    def __call__(self) -> Tokens:
        return self.tokens


@pytest.fixture
def valid() -> Valid:
    return Valid()


@pytest.fixture
async def listener(tmp_path: Path, valid: Valid) -> AsyncIterator[Harness]:
    async with open_door(tmp_path, tokens=valid, ui=True) as listener:
        yield listener


async def ask(listener: Harness, method: str, path: str, body: bytes | None = None, /, **fields: str) -> Reply:
    async with listener.wire() as wire:
        await wire.send(request(method, path, body, **fields))
        return await wire.reply()


async def sign_in(listener: Harness, name: str, **fields: str) -> Reply:
    body = json.dumps({"token": TOKENS[name]}).encode()
    return await ask(listener, "POST", "/ui/session", body, **{**OWN, **fields})


async def cookie_of(listener: Harness, name: str) -> dict[str, str]:
    reply = await sign_in(listener, name)
    assert reply.status == 200, reply
    return {"cookie": reply.headers["set-cookie"].partition(";")[0]}


# Files.


@pytest.mark.parametrize("path", load_assets())
async def test_each_file_is_served_with_the_policy(listener: Harness, path: str) -> None:
    reply = await ask(listener, "GET", path)
    assert reply.status == 200
    assert reply.body == (STATIC / (path.removeprefix("/ui/") if path != "/" else "index.html")).read_bytes()
    policy = dict(one.strip().split(" ", 1) for one in reply.headers["content-security-policy"].split(";"))
    assert policy == POLICY
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["cross-origin-resource-policy"] == "same-origin"
    wanted = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".txt": "text/plain"}
    assert reply.headers["content-type"].startswith(wanted.get(Path(path).suffix, "text/html"))


async def test_a_head_is_answered_and_nothing_is_written(listener: Harness) -> None:
    async with listener.wire() as wire:
        await wire.send(b"HEAD / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n")
        assert (await wire.head())[0] == 200
    for path in ("/", "/ui/app.js"):
        refused = await ask(listener, "POST", path, b"{}")
        assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")
    refused = await ask(listener, "PUT", "/ui/session", b"{}")
    assert (refused.status, refused.headers["allow"]) == (405, "DELETE, GET, HEAD, POST")
    for path in ("/ui/", "/ui/../app.js", "/ui/%2e%2e/page.py", "/ui/vendor"):
        assert (await ask(listener, "GET", path, authorization=f"Bearer {TOKENS['admin']}")).status == 404


async def test_without_the_setting_there_is_no_page_and_no_session(tmp_path: Path, valid: Valid) -> None:
    async with open_door(tmp_path, tokens=valid) as listener:
        for path in ("/", "/ui/app.js", "/ui/session"):
            assert (await ask(listener, "GET", path, authorization=f"Bearer {TOKENS['admin']}")).status == 404
        cookie = f"collator_token={TOKENS['admin']}"
        assert (await ask(listener, "GET", "/v1/status", cookie=cookie)).status == 401


def test_the_whole_page_is_small() -> None:
    sizes = {path.name: path.stat().st_size for path in STATIC.rglob("*") if path.is_file()}
    assert sum(size for name, size in sizes.items() if name not in LICENCES) <= BUDGET, sizes
    lines = {path.name: path.read_text("utf-8").count("\n") for path in STATIC.glob("*.js")}
    assert max(lines.values()) <= 300, lines


def test_the_page_runs_and_asks_nothing_of_others() -> None:
    page = (STATIC / "index.html").read_text("utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|javascript:", page)
    for path in [*STATIC.glob("*.*"), *(STATIC / "vendor").glob("*.js")]:
        text = path.read_text("utf-8")
        hosts = {*re.findall(r"(?:https?:)?//([\w-]+\.[\w.-]+)", text)} - {"www.w3.org"}  # names of XML
        assert not hosts, path
        assert "dangerouslySetInnerHTML" not in text or path.parent.name == "vendor", path
        assert not re.search(r"\beval\(|new Function|innerHTML *=|insertAdjacentHTML|document\.write", text) or (
            path.parent.name == "vendor"
        ), path


def test_all_that_files_refer_to_is_there() -> None:
    paths = load_assets().keys()
    page = (STATIC / "index.html").read_text("utf-8")
    assert {*re.findall(r'(?:src|href)="([^"#]+)"', page)} <= paths
    for path in STATIC.rglob("*.js"):
        for name in re.findall(r'from ?"([^"]+)"', path.read_text("utf-8")):
            assert urljoin("/ui/" + path.relative_to(STATIC).as_posix(), name) in paths, (path, name)


@pytest.mark.parametrize("name", VENDORED)
def test_what_others_wrote_is_as_they_published_it(name: str) -> None:
    content = (STATIC / "vendor" / name).read_bytes()
    # There is no build step, and a browser knows no names of packages.
    content = content.replace(b'from"./preact-10.29.8.js"', b'from"preact"')
    assert hashlib.sha256(content).hexdigest() == VENDORED[name]


def test_nothing_of_others_is_there_without_a_pin() -> None:
    assert {path.name for path in (STATIC / "vendor").iterdir()} == {*VENDORED}


# Sessions.


async def test_who_is_not_signed_in_learns_nothing(listener: Harness) -> None:
    session = (await ask(listener, "GET", "/ui/session")).json
    assert session == {
        "guarded": True, "signed_in": False, "version": "", "name": "", "roles": [], "prefixes": [], "payloads": False,
    }  # fmt: skip
    stranger = (await ask(listener, "GET", "/ui/session", cookie="collator_token=collator_no")).json
    assert stranger == session


async def test_a_token_becomes_a_cookie_that_no_script_and_no_other_site_gets(listener: Harness) -> None:
    reply = await sign_in(listener, "read", origin="http://127.0.0.1")
    assert reply.json["signed_in"]
    assert (reply.json["name"], reply.json["roles"]) == ("read", ["read"])
    value, *attributes = reply.headers["set-cookie"].split("; ")
    assert value == f"collator_token={TOKENS['read']}"
    assert {*attributes} == {"Path=/", "Max-Age=43200", "HttpOnly", "SameSite=Strict"}
    behind_tls = await sign_in(listener, "read", origin="https://127.0.0.1")
    assert behind_tls.headers["set-cookie"].endswith("; Secure")


async def test_a_cookie_counts_as_its_token(listener: Harness) -> None:
    for name, statuses in {"read": (200, 403, 403), "admin": (200, 200, 200)}.items():
        cookie = await cookie_of(listener, name)
        asked = [
            await ask(listener, "GET", "/v1/status", **cookie),
            await ask(listener, "GET", "/v1/audit", **cookie),
            await ask(listener, "POST", "/v1/endpoints/default/pause", b"", **OWN, **cookie),
        ]
        assert tuple(one.status for one in asked) == statuses, name
        session = (await ask(listener, "GET", "/ui/session", **cookie)).json
        assert (session["name"], session["signed_in"]) == (name, True)


async def test_a_token_counts_before_a_cookie(listener: Harness) -> None:
    cookie = await cookie_of(listener, "admin")
    reply = await ask(listener, "GET", "/v1/audit", authorization=f"Bearer {TOKENS['read']}", **cookie)
    assert reply.status == 403


async def test_a_cookie_changes_nothing_unless_the_page_asks(listener: Harness) -> None:
    cookie = await cookie_of(listener, "admin")
    for fields in ({}, {**OWN, **EVIL}, {**OWN, **CROSS}, {**OWN, "sec_fetch_site": "same-site"}):
        reply = await ask(listener, "POST", "/v1/endpoints/default/pause", b"", **fields, **cookie)
        assert (reply.status, reply.problem["code"]) == (403, "cross_origin"), fields
    assert not await listener.ledger.paused()
    for fields in (EVIL, CROSS):
        assert (await ask(listener, "GET", "/v1/status", **fields, **cookie)).status == 403
    refused = [
        await sign_in(listener, "admin", **EVIL),
        await ask(listener, "POST", "/ui/session", json.dumps({"token": TOKENS["admin"]}).encode()),
        await ask(listener, "DELETE", "/ui/session", **cookie),
    ]
    assert [(one.status, "set-cookie" in one.headers) for one in refused] == [(403, False)] * 3


async def test_a_cookie_sends_no_packets(listener: Harness) -> None:
    cookie = await cookie_of(listener, "all")
    assert (await ask(listener, "POST", "/v1/packets", json.dumps(packet()).encode(), **OWN, **cookie)).status == 401


async def test_a_session_ends_with_its_token(listener: Harness, valid: Valid) -> None:
    cookie = await cookie_of(listener, "read")
    valid.tokens = Tokens([])
    assert (await ask(listener, "GET", "/v1/status", **cookie)).status == 401
    assert not (await ask(listener, "GET", "/ui/session", **cookie)).json["signed_in"]


async def test_signing_out_takes_the_cookie_away(listener: Harness) -> None:
    reply = await ask(listener, "DELETE", "/ui/session", **OWN, **await cookie_of(listener, "read"))
    assert reply.status == 200
    assert reply.headers["set-cookie"].startswith("collator_token=; Path=/; Max-Age=0;")
    assert not reply.json["signed_in"]


async def test_who_may_not_look_gets_no_session_and_is_recorded(listener: Harness) -> None:
    strange = [
        await ask(listener, "POST", "/ui/session", json.dumps({"token": token}).encode(), **OWN)
        for token in ("collator_no", "", "a\r\nset-cookie: b", "x" * 3000, TOKENS["admin"] + "; Domain=evil.example")
    ]
    assert [(one.status, "set-cookie" in one.headers) for one in strange] == [(401, False)] * len(strange)
    assert (await sign_in(listener, "send")).status == 403
    for body in (b"", b"[]", b'{"token": 1}', b'{"token": "a", "more": 1}'):
        assert (await ask(listener, "POST", "/ui/session", body, **OWN)).status == 422
    records = (await ask(listener, "GET", "/v1/audit", authorization=f"Bearer {TOKENS['admin']}")).json["records"]
    assert ("refused", "POST /ui/session") in {(one["verb"], one["target"]) for one in records}


async def test_a_link_from_elsewhere_leads_to_the_page_and_to_nothing_else(listener: Harness) -> None:
    assert (await ask(listener, "GET", "/", **CROSS)).status == 200
    assert (await ask(listener, "GET", "/ui/session", **CROSS)).status == 403
    assert (await ask(listener, "GET", "/", host="evil.example")).status == 421


async def test_a_service_without_tokens_needs_no_session(tmp_path: Path) -> None:
    async with open_door(tmp_path, ui=True) as listener:
        session = (await ask(listener, "GET", "/ui/session")).json
        assert (session["guarded"], session["signed_in"], session["roles"]) == (False, True, ["send", "read", "admin"])
        assert (await ask(listener, "POST", "/v1/endpoints/default/pause", b"", **EVIL)).status == 403
        assert (await ask(listener, "POST", "/v1/endpoints/default/pause", b"", **OWN)).status == 200
