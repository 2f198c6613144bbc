"""The recipes of docs/recipes.md with the real servers that they name: each as it stands there, but for the port."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from collator.client import Client
from collator.service import open_service
from collator.settings import load
from tests.harness.recipes import RECIPES, block
from tests.servers.server import serving


@pytest.mark.parametrize("name", ["FastAPI", "Flask with gunicorn", "LitServe", "A chat endpoint like that of OpenAI"])
async def test_a_recipe_works_with_the_server_that_it_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_tcp_port: int, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = re.sub(r"\b808\d\b", str(free_tcp_port), RECIPES[name])
    (tmp_path / "service.py").write_text(block(recipe, "python"), "utf-8")
    (tmp_path / "collator.toml").write_text(block(recipe, "toml"), "utf-8")
    settings = replace(load(environ={}), port=0, webhook="none", data_dir=tmp_path / "data")
    if settings.processor_headers_file:
        settings.processor_headers_file.write_text(block(recipe, "headers"), "utf-8")
        settings.processor_headers_file.chmod(0o600)
    async with (
        serving(tmp_path, block(recipe, "sh"), free_tcp_port),
        open_service(settings) as opened,
        Client(opened.url) as client,
    ):
        await client.send([{"resource_id": "call-17", "index": 0, "payload": "hello", "last": True}])
        result = await client.result("call-17", timeout=30.0)
    assert result.get("outputs") == ["HELLO"], result
