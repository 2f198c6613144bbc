"""A program of a user, as mypy and pyright see it: each mistake is an error in its line, and nothing else is one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import asyncio
from pathlib import Path

import collator
from collator import Client, Collator, Context, SyncClient, Tally, Webhook, send, verify


def lengths(payload: str, context: Context) -> list[int]:
    return [len(word) for word in payload.split()]


async def store(webhook: Webhook) -> None:
    print(webhook.data["outputs"])


async def client(url: str) -> None:
    async with Client(url, token="t", patience=None) as client:
        tally: Tally = await client.send([{"resource_id": "a", "index": 0, "payload": "x", "last": True}])
        await client.send([b"{}"], tally=tally)
        result = await client.result("a", timeout=10)
        if "partial" in result:
            print(result["partial"][0]["index"], result["partial"][0]["outptu"])  # wrong
        print(result["outputs"], result["completed_by"])
        print(result["outptus"])  # wrong
        page = await client.deliveries(state="dead", limit=10)
        await client.deliveries(state="deadd")  # wrong
        await client.resources(state="closed")  # wrong
        print(page["deliveries"][0]["due_in"], page["deliveries"][0]["due_at"])  # wrong
        if page["deliveries"][0]["state"] == "delivered":
            print("yes")
        async for outcome in client.follow("a"):
            print(outcome["seq"], outcome["output"])
            print(outcome["sequence"])  # wrong
        report = await client.resource("a")
        for first, last in report["missing"]:
            print(first + last)
        print(report["total"] + 1)  # wrong
        await client.retry_all(completed_by="error")  # wrong
        await client.replay_all(state="due")  # wrong
        status = await client.status()
        if status["stored"] is not None:
            print(status["stored"]["waiting"] + 1)
        print(status["stored"]["waiting"])  # wrong


def script(url: str) -> None:
    client = SyncClient(url, batch=10).open()
    client.complete("a", total=3)
    print(client.result("a")["outputs"], client.outputs("a", limit=2)["next_cursor"])
    print(client.result("a")["ouputs"])  # wrong
    client.complete("a", totla=3)  # wrong
    client.close()
    SyncClient(url, batches=10)  # wrong
    send(url, [{"resource_id": "a"}], patience=5)
    send(url, [{"resource_id": "a"}], patient=5)  # wrong
    print(verify(Path("secret").read_text(), {"webhook-id": "a"}, b"").upper())


async def library() -> None:
    async with Collator(
        "calls",
        processor=lengths,
        on_finished=store,
        idle_timeout="10m",
        retention=90.5,
        max_payload="64 KiB",
        pool="process",
        hedge=None,
        endpoints={"archive": {"url": "https://example.com/hook", "match": "call-*"}},
    ) as engine:
        print((await engine.status())["ready"])
    Collator("calls", processor=lengths, concurency=3)  # wrong
    Collator("calls", processor=lengths, concurrency="3 at a time")  # wrong
    Collator("calls", processor=lengths, on_failure="holdd")  # wrong
    Collator("calls", processor=lengths, endpoints={"a": {"urll": "https://example.com"}})  # wrong
    Collator("calls", processor=lengths, on_finished=lengths)  # wrong


print(collator.__version__, collator.Cleint)  # wrong
asyncio.run(library())
"""
WRONG = {number for number, line in enumerate(PROGRAM.splitlines(), 1) if line.endswith("# wrong")}


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


def test_mypy_finds_each_mistake_and_no_other(program: Path) -> None:
    cache = ROOT / ".mypy_cache" / "programs"
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file",
        os.devnull,
        "--cache-dir",
        str(cache),
        str(program),
    ]
    done = subprocess.run(command, cwd=program.parent, capture_output=True, text=True, check=False)
    assert {int(line) for line in re.findall(r"^program.py:(\d+): error: ", done.stdout, re.MULTILINE)} == WRONG, (
        done.stdout + done.stderr
    )


def test_pyright_finds_each_mistake_and_no_other(program: Path) -> None:
    (program.parent / "pyrightconfig.json").write_text('{"typeCheckingMode": "standard"}')
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable, str(program)]
    done = subprocess.run(command, cwd=program.parent, capture_output=True, text=True, check=False)
    found = [one for one in json.loads(done.stdout)["generalDiagnostics"] if one["severity"] == "error"]
    assert {one["range"]["start"]["line"] + 1 for one in found} == WRONG, done.stdout
