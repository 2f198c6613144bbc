"""The receivers of examples/receivers, each as it stands there: they verify, store once, and answer only then."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from standardwebhooks import Webhook

from collator.client import Client
from collator.service import open_service
from collator.settings import Settings
from tests.acceptance.test_documents import blocks
from tests.requirements import need
from tests.servers.server import serving
from tests.wait import until

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "receivers"
NODE = ROOT / ".servers-node" / "node_modules"
SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="
ID = "msg_" + "a" * 52
BODY = '{"type": "resource.collated", "data": {"outputs": ["é"]}}'


def python(command: str) -> Callable[[Path], str]:
    def prepare(home: Path) -> str:
        for path in EXAMPLES.glob("*.py"):
            shutil.copy(path, home)
        return command

    return prepare


def express(home: Path) -> str:
    need(shutil.which("node"), "node")
    need(NODE.exists(), "Express (make servers)")
    shutil.copy(EXAMPLES / "express" / "receiver.mjs", home)
    (home / "node_modules").symlink_to(NODE)
    return f"PORT=PLACE {shutil.which('node')} receiver.mjs"


def go(home: Path) -> str:
    need(shutil.which("go"), "go")
    source = EXAMPLES / "go" / "receiver.go"
    environ = {**os.environ, "GOFLAGS": "-mod=mod", "GO111MODULE": "off"}
    subprocess.run(["go", "build", "-o", home / "receiver", source], env=environ, check=True, timeout=300)
    return f"PORT=PLACE {home / 'receiver'}"


RECEIVERS = {
    "FastAPI": python("uvicorn --port PLACE fastapi_receiver:app"),
    "Flask": python("gunicorn --bind 127.0.0.1:PLACE --threads 8 flask_receiver:app"),
    "Express": express,
    "Go": go,
}


class Receiver(NamedTuple):
    """One of them, which runs for all tests of it: each has webhooks of its own."""

    url: str
    secret: Path
    inbox: Path


@pytest.fixture(scope="module", params=RECEIVERS)
async def receiver(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, free_tcp_port_factory: Callable[[], int]
) -> AsyncIterator[Receiver]:
    """Each of them in turn."""
    home, port = tmp_path_factory.mktemp("receiver"), free_tcp_port_factory()
    secret = home / "webhook.secret"
    secret.write_text(f"# a note\n{SECRET}\n")
    command = RECEIVERS[request.param](home).replace("PLACE", str(port))
    async with serving(home, f"SECRET_FILE={secret.name} INBOX=inbox {command}", port) as server:
        yield Receiver(f"{server.url}/", secret, home / "inbox")


def files(inbox: Path, names: str = "*") -> Sequence[str]:
    """What is there; nothing, where there is no inbox yet."""
    return sorted(path.name for path in inbox.glob(names))


def posted(url: str, body: str, headers: Mapping[str, str]) -> int:
    request = urllib.request.Request(url, body.encode(), {"content-type": "application/json", **headers})  # noqa: S310 - our own
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - our own
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def signed(when: datetime, body: str = BODY, secret: str = SECRET, webhook_id: str = ID) -> dict[str, str]:
    """The headers that an independent library makes."""
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(when.timestamp())),
        "webhook-signature": Webhook(secret).sign(webhook_id, when, body),
    }


async def test_it_takes_what_is_signed_and_takes_it_once(receiver: Receiver) -> None:
    webhook_id = "msg_" + "c" * 52
    headers, path = signed(datetime.now(UTC), webhook_id=webhook_id), receiver.inbox / f"{webhook_id}.json"
    assert not path.exists()
    assert await asyncio.to_thread(posted, receiver.url, BODY, headers) == 204
    assert path.read_text("utf-8") == BODY
    before, names = path.stat(), files(receiver.inbox)
    assert await asyncio.to_thread(posted, receiver.url, BODY, headers) == 204
    assert files(receiver.inbox) == names
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


async def test_it_takes_either_secret_while_one_replaces_the_other(receiver: Receiver) -> None:
    now = datetime.now(UTC)
    other = signed(now, secret="whsec_" + "A" * 31 + "BBBBBBBBBBB=")["webhook-signature"]
    headers = signed(now)
    both = {**headers, "webhook-signature": f"{other} {headers['webhook-signature']}"}
    assert await asyncio.to_thread(posted, receiver.url, BODY, both) == 204


async def test_it_takes_what_the_secret_signs_that_stands_in_the_file_now(receiver: Receiver) -> None:
    other, before = "whsec_" + "A" * 43 + "=", receiver.secret.read_text("utf-8")
    headers = signed(datetime.now(UTC), secret=other)
    assert await asyncio.to_thread(posted, receiver.url, BODY, headers) == 401
    receiver.secret.write_text(other)
    try:
        assert await asyncio.to_thread(posted, receiver.url, BODY, headers) == 204
    finally:
        receiver.secret.write_text(before)


async def test_it_refuses_what_nobody_or_somebody_else_signed(receiver: Receiver) -> None:
    now, before = datetime.now(UTC), files(receiver.inbox)
    other = "msg_" + "b" * 52
    for headers in (
        {},
        signed(now, body=BODY + " ", webhook_id=other),
        signed(now, secret="whsec_" + "A" * 31 + "BBBBBBBBBBB=", webhook_id=other),
        signed(now - timedelta(minutes=6), webhook_id=other),
        signed(now + timedelta(minutes=6), webhook_id=other),
        {**signed(now, webhook_id=other), "webhook-timestamp": "now"},
        {**signed(now, webhook_id=other), "webhook-signature": "v1,"},
        {**signed(now), "webhook-id": "../msg"},
    ):
        assert await asyncio.to_thread(posted, receiver.url, BODY, headers) == 401, headers
    assert files(receiver.inbox) == before


async def test_it_receives_what_a_service_sends(tmp_path: Path, receiver: Receiver) -> None:
    before = files(receiver.inbox, "*.json")
    settings = replace(
        Settings(webhook=receiver.url, port=0, data_dir=tmp_path / "data"), webhook_secret_file=receiver.secret
    )
    async with open_service(settings) as opened, Client(opened.url) as client:
        await client.send([{"resource_id": "call/17", "index": 0, "payload": "a bc", "last": True}])
        await until(lambda: {*files(receiver.inbox, "*.json")} > {*before}, 30.0)
    (name,) = {*files(receiver.inbox, "*.json")} - {*before}
    assert json.loads((receiver.inbox / name).read_text("utf-8"))["data"]["outputs"] == [[1, 2]]


def test_the_page_has_each_program_as_it_is() -> None:
    shown = [block.text for block in blocks(ROOT / "docs" / "receivers.md")]
    files = [*EXAMPLES.glob("*.py"), EXAMPLES / "express" / "receiver.mjs", EXAMPLES / "go" / "receiver.go"]
    assert [path.name for path in files if path.read_text("utf-8") not in shown] == []
