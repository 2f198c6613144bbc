"""What the measurement of peers compares and computes, without a process."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

import bench.peers
from bench import job
from bench.peers import children
from bench.peers.__main__ import _present
from bench.peers.results import SYSTEMS, plot, rows, show
from bench.peers.runs import Figures
from bench.peers.systems import MEMORY, PEERS, SYNCED
from collator.errors import CollatorError

FOLDER = Path(str(bench.peers.__file__)).parent
PROGRAMS = [FOLDER / "feed.py", *FOLDER.glob("*/app.py")]
RUNS = {
    "collator, post": [Figures(900.0, 30.0, 1.0), Figures(1100.0, 20.0, 3.0), Figures(1000.0, 10.0, 2.0)],
    "brief": [Figures(30.0, 2e3, 4.0)],
}


def test_a_peer_of_whole_resources_gets_the_payloads_of_each_in_order() -> None:
    load = job.load(3, 4, 5, payload=None)
    outputs = {
        name: [[len(word) for word in text.split(" ")] for text in texts]
        for name, texts in msgspec.json.decode(children.resources(load))
    }
    assert outputs == load.outputs


def test_a_peer_of_packets_gets_them_in_the_order_of_sending() -> None:
    load = job.load(3, 4, 5, payload=None)
    assert msgspec.json.decode(children.packets(load)) == [msgspec.json.decode(packet) for packet in load.packets]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_program_of_a_peer_imports_nothing_of_collator(program: Path) -> None:
    tree = ast.parse(program.read_text("utf-8"))
    modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert modules - {"bench.peers.feed"} <= {
        *("__future__", "asyncio", "collections.abc", "json", "os", "sys", "time", "typing"),
        *("aiohttp", "celery", "flask", "redis", "redis.asyncio", "restate", "taskiq", "taskiq_redis"),
        *("urllib3", "uvloop"),
    }


def test_the_table_has_medians_and_the_durability(capsys: pytest.CaptureFixture[str]) -> None:
    show(Console(width=140), [*rows(RUNS)])
    own, peer = capsys.readouterr().out.splitlines()[1:]
    assert own.split()[2:5] == ["1,000", "20", "2"]
    assert own.strip().endswith(SYNCED)
    assert peer.strip().endswith(MEMORY)


def test_the_plot_has_the_fastest_first() -> None:
    drawn = plot([*rows(RUNS)][::-1], "a note")
    assert drawn.index("collator, post") < drawn.index("brief")
    assert drawn.count("<rect") == 3


def test_every_peer_has_a_program_that_is_there() -> None:
    assert {name.partition("-")[0] for name in PEERS} == {path.name for path in FOLDER.iterdir() if path.is_dir()} - {
        "__pycache__"
    }
    assert {*SYSTEMS} > {*PEERS}


def test_the_packages_of_node_have_hashes_and_no_address() -> None:
    lock = json.loads((FOLDER / "package-lock.json").read_text("utf-8"))["packages"]
    wanted = json.loads((FOLDER / "package.json").read_text("utf-8"))["dependencies"]
    assert lock.pop("")["dependencies"] == wanted
    assert {name: lock[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert all(package["integrity"].startswith("sha512-") for package in lock.values())
    assert not any("resolved" in package for package in lock.values())


def test_a_peer_that_is_missing_is_skipped_with_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert _present(["collator", "bullmq", "chord"]) == ["collator", "chord"]
    assert capsys.readouterr().err == "bullmq is skipped: there is no Node\n"


async def test_a_client_that_ends_is_told_of() -> None:
    with pytest.raises(CollatorError, match="ended by itself"):
        async with children.client(("true",), {}, children.packets):
            pass
