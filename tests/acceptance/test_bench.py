"""The bench, as a real process with real children: it measures what it says, and it notices what is wrong."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bench
import collator
from bench.__main__ import main
from bench.checkouts import this
from bench.compare import Comparison
from bench.comparison import COMPARED, lines
from bench.figures import PARTS, PURGE, RATIOS, TENTH, WIDE
from bench.runs import Scale
from bench.shapes import SHAPES
from tests.acceptance import programs
from tests.acceptance.programs import children, files, running
from tests.wait import until_sync

COMMAND = (sys.executable, "-m", "bench")
PATH = {"PYTHONPATH": os.pathsep.join(str(Path(str(one.__file__)).parents[1]) for one in (bench, collator))}
TINY = ("--resources", "12", "--packets", "5", "--connections", "4", "--readers", "3", "--senders", "2", "--runs", "1")


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return programs.run(*arguments, cwd=cwd, env=PATH, command=COMMAND)


def test_a_tiny_run_measures_every_part_and_leaves_nothing(tmp_path: Path) -> None:
    parts = [part for part in PARTS if part not in {*SHAPES, PURGE, TENTH}]  # which takes as long as the hundredth
    done = run(*TINY, *(word for part in parts for word in ("--only", part)), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for part in [*parts, RATIOS]:
        assert f"\n{part}: " in done.stdout
    for part in parts:
        assert f"{part}, run 1 of 1: " in done.stderr
    assert f"{os.cpu_count()} cores" in done.stdout
    assert "12 resources × 5 packets" in done.stdout
    assert files(tmp_path) == []


def test_json_has_every_figure_with_its_runs(tmp_path: Path) -> None:
    parts = ("--only", "stream", "--only", "yardsticks")
    done = run(*TINY, "--runs", "2", "--json", *parts, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["faults"], result["job"]["runs"]) == ([], 2)
    rows = {(row["part"], row["name"]): row for row in result["rows"]}
    assert {part for part, _ in rows} == {"stream", "yardsticks", RATIOS}
    throughput = rows["stream", "packets_per_second"]
    assert len(throughput["runs"]) == 2
    assert 0 < throughput["min"] <= throughput["median"] <= throughput["max"]
    ratio = rows[RATIOS, "stream_to_lines"]["runs"][0]
    assert ratio == pytest.approx(throughput["runs"][0] / rows["yardsticks", "lines_per_second"]["runs"][0])


def test_readers_and_senders_are_measured_beside_a_stream(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "bench.live")
    done = programs.run(*TINY, "--resources", "400", "--runs", "2", cwd=tmp_path, env=PATH, command=command)
    assert done.returncode == 0, done.stderr
    runs = [line.partition(":")[0] for line in done.stderr.splitlines()]
    assert runs == ["stream, run 1 of 2", "live, run 1 of 2", "live, run 2 of 2", "stream, run 2 of 2"]
    for label, goal in (("live / stream", "≤ 1.15"), ("event p99", "≤ 150 ms")):
        assert re.search(rf"^\S+ +{label} .* {goal} +(met|missed) *$", done.stdout, re.MULTILINE), done.stdout
    assert files(tmp_path) == []


def test_a_shape_is_measured_and_the_cost_of_deletion(tmp_path: Path) -> None:
    done = run(*TINY, "--only", WIDE, "--only", PURGE, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = {(row["part"], row["name"]) for row in json.loads(done.stdout)["rows"]}
    assert {(WIDE, "packets_per_second"), (PURGE, "purge_us_per_packet")} <= found
    assert files(tmp_path) == []


def test_wrong_bodies_fail_the_bench(tmp_path: Path) -> None:
    done = run(*TINY, "--only", "post", "--set", "processor=builtins:len", cwd=tmp_path)
    assert done.returncode == 1
    assert "post, run 1 of 1: 50 bodies are not what they must be" in done.stderr
    assert "packets/s" not in done.stderr
    assert files(tmp_path) == []


def test_packets_that_are_refused_fail_the_bench(tmp_path: Path) -> None:
    done = run(*TINY, "--only", "stream", "--set", "max_payload=1", cwd=tmp_path)
    assert done.returncode == 1
    assert "stream, run 1 of 1: not all 500 packets of the stream were accepted" in done.stderr
    assert files(tmp_path) == []


def test_a_setting_that_the_service_cannot_use_is_told(tmp_path: Path) -> None:
    unknown = run(*TINY, "--set", "gone=1", cwd=tmp_path)
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "--set gone" in unknown.stderr
    unusable = run(*TINY, "--set", "concurrency=none", cwd=tmp_path)
    assert (unusable.returncode, unusable.stdout) == (1, "")
    assert "COLLATOR_CONCURRENCY: 'none' is not a whole number" in unusable.stderr
    assert "Traceback" not in unusable.stderr


def test_the_service_of_another_checkout_is_measured(tmp_path: Path) -> None:
    package = tmp_path / "src" / "collator"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("raise SystemExit('that of the other checkout')", "utf-8")
    done = run(*TINY, "--only", "post", "--source", "src", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "that of the other checkout" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--resources", "0"],
        ["--only", "gone"],
        ["--dir", "gone"],
        ["--source", "gone"],
        ["--packets", "9999", "--resources", "9999"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_measured_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", *TINY, *arguments])
    with pytest.raises(SystemExit, match="2"):
        main()
    told, wrong = capsys.readouterr()
    assert told == ""
    assert wrong.startswith("usage: python -m bench")


def test_a_comparison_measures_both_builds_in_turns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = this()
    scale = Scale(4, 5, 4, seed=1, timeout=60, directory=tmp_path, changed={})
    comparison = Comparison(scale, (mine, mine._replace(name="other")), ["light"])
    asyncio.run(comparison.run(1))
    assert comparison.faults == []
    assert capsys.readouterr().err.splitlines() == [f"light, run 1, {mine.name}: done", "light, run 1, other: done"]
    assert [line.figure.name for line in lines(comparison.runs)] == [*COMPARED["light"]]
    assert files(tmp_path) == []


def test_a_commit_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = programs.run("--with", "gone", cwd=tmp_path, env=PATH, command=(sys.executable, "-m", "bench.compare"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "gone^{commit}" in done.stderr
    assert "Traceback" not in done.stderr


def test_sigterm_ends_its_children_and_removes_its_stores(tmp_path: Path) -> None:
    options = ("--only", "light", "--only", "stream", "--resources", "30")
    with running(*options, cwd=tmp_path, env=PATH, command=COMMAND) as program:
        program.says("light, run 1 of 3")
        left = children(program.process.pid)
        assert program.stop() == 130
    until_sync(lambda: not [pid for pid in left if _lives(pid)])
    assert [name for name in files(tmp_path) if name != program.log.name] == []


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
