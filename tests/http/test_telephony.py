"""examples/telephony: a call, as a provider tells of it, becomes one webhook, also over a restart of the service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from examples.telephony import adapter
from tests.http.service import running

MESSAGES = (Path(adapter.__file__).parent / "messages.jsonl").read_text("utf-8").splitlines()
AUDIO = ["f39/f39/f38=", "/v7+/v7+/v4=", "gICAgICAgIA=", "AAAAAAAAAAA="]


@pytest.mark.parametrize("pause_before", [2, 5])
async def test_a_call_becomes_one_webhook_also_over_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pause_before: int
) -> None:
    monkeypatch.setattr(adapter, "PAUSE", 0.01)
    again, port = asyncio.Event(), 0

    async def provider() -> AsyncIterator[str]:
        for number, message in enumerate(MESSAGES):
            if number == pause_before:
                await again.wait()
            yield message

    async with running(tmp_path) as it:
        port = int(it.service.url.rpartition(":")[2])
        passing = asyncio.create_task(adapter.pass_on(provider(), f"ws://127.0.0.1:{port}/v1/stream"))
        if pause_before == 5:  # two chunks are stored by then
            await it.stored(open=1)
    async with running(tmp_path, port=port) as it:
        again.set()
        (webhook,) = await it.webhooks(1)
        await passing
    assert webhook["data"]["resource_id"] == "CA17"
    assert webhook["data"]["outputs"] == AUDIO
    assert webhook["data"]["metadata"]["format"] == json.loads(MESSAGES[1])["start"]["mediaFormat"]
