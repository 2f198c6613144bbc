"""docs/endpoints.md says what a receiver gets: its examples are run as they stand, and described by the service."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import jsonschema_rs

from collator.states import EndedBy
from tests.acceptance.programs import PATIENCE, serving
from tests.acceptance.test_api_page import values
from tests.acceptance.test_documents import ROOT, SERVICE, Block, blocks
from tests.receiver import Receiver, Request
from tests.requirements import need
from tests.wait import until, until_sync

PAGE = ROOT / "docs" / "endpoints.md"
BY_HTTP = {"host", "accept", "accept-encoding", "content-length"}
"""Headers that any client sends."""


def ask(url: str) -> Any:  # noqa: ANN401 - JSON may be anything
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own
        return json.load(answer)


def give(command: str) -> None:
    subprocess.run(["bash", "-c", command.replace("curl ", "curl -sSf ")], timeout=PATIENCE, check=True)


async def example(tmp_path: Path, commands: list[Block]) -> tuple[list[Request], Any]:
    """What a receiver gets of *commands*, and the description of the service."""
    async with Receiver() as receiver:
        with serving(tmp_path, webhook=receiver.url) as (_, url):
            for command in commands:
                await asyncio.to_thread(give, command.text.replace(f"http://{SERVICE}", url))
                await asyncio.to_thread(until_sync, lambda: ask(f"{url}/v1/status")["stored"]["waiting"] == 0, PATIENCE)
            await until(lambda: len(receiver.requests) == 2, PATIENCE)
            return receiver.requests, await asyncio.to_thread(ask, f"{url}/openapi.json")


async def test_a_receiver_gets_what_the_page_says_and_the_service_describes(tmp_path: Path) -> None:
    need(shutil.which("curl"), "curl")
    found = blocks(PAGE)
    requests, described = await example(tmp_path, [block for block in found if block.language == "sh"])
    told = [block.text for block in found if block.language == "json" and '"type"' in block.text]
    for request, text in zip(requests, told, strict=True):
        assert values(request.body.decode()) == values(text)
        check(described, request)
    (fields,) = [block.text for block in found if block.text.startswith("content-type")]
    assert [line.split(":")[0] for line in fields.splitlines()] == [
        name for name in requests[0].headers if name not in BY_HTTP
    ]


def check(described: Any, request: Request) -> None:  # noqa: ANN401 - JSON may be anything
    """Hold *request* to what is *described* of its webhook."""
    operation = described["webhooks"][json.loads(request.body)["type"]]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    jsonschema_rs.validate({**schema, "components": described["components"]}, json.loads(request.body))
    for field in operation["parameters"]:
        jsonschema_rs.validate(field["schema"], request.headers[field["name"]])


def test_the_page_says_of_every_end_what_it_means() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .* \| `(?:collated|incomplete)`", PAGE.read_text("utf-8"), re.MULTILINE)
    assert rows == [*EndedBy]
