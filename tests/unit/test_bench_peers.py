"""What the measurement of peers compares and computes, without a process."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import bench.peers
from bench import job
from bench.peers.__main__ import DURABILITY, SYSTEMS, _ratio, _show
from bench.peers.systems import _by_resource

FOLDER = Path(str(bench.peers.__file__)).parent


def test_a_chord_gets_the_payloads_of_each_resource_in_order() -> None:
    load = job.load(3, 4, 5, payload=None)
    outputs = {
        name: [[len(word) for word in text.split(" ")] for text in texts] for name, texts in _by_resource(load).items()
    }
    assert outputs == load.outputs


@pytest.mark.parametrize("name", ["brief", "chord"])
def test_a_peer_imports_nothing_of_collator(name: str) -> None:
    tree = ast.parse((FOLDER / f"{name}.py").read_text("utf-8"))
    modules = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {module.partition(".")[0] for module in modules} <= {
        *("__future__", "json", "os", "sys", "typing"),
        *("celery", "flask", "redis", "urllib3"),
    }


def test_the_table_says_how_many_times_a_peer(capsys: pytest.CaptureFixture[str]) -> None:
    runs = {
        "collator, stream": [{"packets/s": 900.0, "µs a packet": 30.0}],
        "brief, post": [{"packets/s": 30.0, "µs a packet": 2e3}],
    }
    _show(runs)
    printed = capsys.readouterr().out
    assert "30.0" in printed
    assert "memory of Valkey" in printed
    assert _ratio(900.0, "chord", {"brief, post": 30.0}) == "-"


def test_every_system_says_what_it_keeps() -> None:
    assert {*DURABILITY} == {*SYSTEMS}
