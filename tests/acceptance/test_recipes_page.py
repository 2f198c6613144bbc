"""The recipes of docs/recipes.md: with the settings of the page, a service gets what it says, and its answer is used.

A stand-in answers with the bytes on the page, which are those of the real servers, and only to the request there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from collator.client import Client
from collator.service import open_service
from collator.settings import load
from tests.harness.recipes import RECIPES, block
from tests.receiver import Judge, Receiver, Request, Say, Script, reply


class Message(NamedTuple):
    """A request or an answer of the page."""

    line: str
    headers: Mapping[str, str]
    body: bytes


def message(text: str) -> Message:
    head, _, body = text.strip("\n").partition("\n\n")
    line, *fields = head.splitlines()
    return Message(line, dict(field.split(": ", 1) for field in fields), body.encode())


def exchange(recipe: str) -> tuple[Message, Message]:
    """The request and the answer of a recipe."""
    request, status, answer = block(recipe, "http").partition("HTTP/1.1 200 OK\n")
    return message(request), message(status + answer)


def as_said(request: Request, expected: Message, answer: Message) -> Script:
    """*answer* where *request* is the one that is *expected*; else what differs, as a failure."""
    got = Message(
        request.line, {name: request.headers.get(name, "") for name in expected.headers}, request.body.strip()
    )
    if got != expected:
        return reply(400, body=f"{got} is not {expected}".encode())
    lines = [answer.line, *(f"{name}: {value}" for name, value in answer.headers.items())]
    return (Say("\r\n".join([*lines, f"content-length: {len(answer.body)}", "", ""]).encode() + answer.body),)


@pytest.mark.parametrize("name", RECIPES)
async def test_a_recipe_does_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    recipe = RECIPES[name]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "collator.toml").write_text(block(recipe, "toml"), "utf-8")
    settings = load(environ={})
    if settings.processor_headers_file:
        settings.processor_headers_file.write_text(block(recipe, "headers"), "utf-8")
        settings.processor_headers_file.chmod(0o600)
    expected, answer = exchange(recipe)
    assert urlsplit(settings.processor).path == expected.line.split()[1]
    async with Receiver((Judge(lambda request: as_said(request, expected, answer)),)) as service:
        place = f"http://127.0.0.1:{service.port}{expected.line.split()[1]}"
        settings = replace(settings, processor=place, port=0, webhook="none", data_dir=tmp_path / "data")
        async with open_service(settings) as opened, Client(opened.url) as client:
            await client.send([{"resource_id": "call-17", "index": 0, "payload": "hello", "last": True}])
            result = await client.result("call-17", timeout=20.0)
    assert result.get("outputs") == ["HELLO"], result
    assert 'The output is `"HELLO"`' in recipe


def test_a_recipe_has_a_file_of_headers_where_its_settings_name_one() -> None:
    assert len(RECIPES) >= 7
    for name, recipe in RECIPES.items():
        assert bool(block(recipe, "headers")) == ("processor_headers_file" in block(recipe, "toml")), name
