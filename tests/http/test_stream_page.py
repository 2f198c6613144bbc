"""docs/stream.md: its conversation is held as it is written there, and its tables name every message."""

from __future__ import annotations

import json
import re
from pathlib import Path

from collator.web.stream_messages import PacketMessage, StartMessage, StopMessage
from tests.http.service import running
from tests.http.sockets import socket

PAGE = (Path(__file__).parents[2] / "docs" / "stream.md").read_text("utf-8")


async def test_the_conversation_is_held_as_it_is_written(tmp_path: Path) -> None:
    (said,) = re.findall(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    lines = [line.split(" ", 1) for line in said.splitlines()]

    def lengths(payload: str) -> list[int]:
        return [len(word) for word in payload.split()]

    async with running(tmp_path, processor=lengths) as it, socket(int(it.service.url.rpartition(":")[2])) as client:
        for who, message in lines:
            expected = json.loads(message)
            if who == ">":
                await client.connection.send(message)
                continue
            heard = await client.hear()
            if expected["type"] == "end":
                assert heard.pop("webhook_id").startswith(expected.pop("webhook_id").rstrip("…"))
            assert heard == expected


def test_every_message_of_a_client_is_there_with_its_members() -> None:
    table = PAGE.partition("## What a client sends")[2].partition("##")[0]
    for kind in (StartMessage, PacketMessage, StopMessage):
        (row,) = (line for line in table.splitlines() if line.startswith(f"| `{kind.__struct_config__.tag}` |"))
        assert all(f"`{name}`" in row for name in kind.__struct_fields__), row
