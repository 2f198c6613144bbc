"""The bench, as a real process with real children: it measures what it says, and it notices what is wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from collator.cli.bench.figures import PARTS, RATIOS, SECTIONS
from collator.cli.exits import Exit
from tests.acceptance.programs import children, files, run, running

TINY = ("bench", "--resources", "12", "--packets", "5", "--connections", "4", "--runs", "1")


def test_a_tiny_run_measures_every_part_and_leaves_nothing(tmp_path: Path) -> None:
    done = run(*TINY, cwd=tmp_path)
    assert done.returncode == Exit.OK, done.stderr
    for part in SECTIONS:
        assert f"\n{part}: " in done.stdout
    for part in PARTS:
        assert f"{part}, run 1 of 1: " in done.stderr
    assert f"{os.cpu_count()} cores" in done.stdout
    assert "12 resources × 5 packets" in done.stdout
    assert files(tmp_path) == []


def test_json_has_every_figure_with_its_runs(tmp_path: Path) -> None:
    parts = ("--only", "stream", "--only", "yardsticks")
    done = run(*TINY, "--runs", "2", "--json", *parts, cwd=tmp_path)
    assert done.returncode == Exit.OK, done.stderr
    result = json.loads(done.stdout)
    assert (result["faults"], result["job"]["runs"]) == ([], 2)
    rows = {(row["part"], row["name"]): row for row in result["rows"]}
    assert {part for part, _ in rows} == {"stream", "yardsticks", RATIOS}
    throughput = rows["stream", "packets_per_second"]
    assert len(throughput["runs"]) == 2
    assert 0 < throughput["min"] <= throughput["median"] <= throughput["max"]
    ratio = rows[RATIOS, "stream_to_lines"]["runs"][0]
    assert ratio == pytest.approx(throughput["runs"][0] / rows["yardsticks", "lines_per_second"]["runs"][0])


def test_wrong_bodies_fail_the_bench(tmp_path: Path) -> None:
    done = run(*TINY, "--only", "post", "--set", "processor=builtins:len", cwd=tmp_path)
    assert done.returncode == Exit.FAILED
    assert "post, run 1 of 1: 50 bodies are not what they must be" in done.stderr
    assert "packets/s" not in done.stderr
    assert files(tmp_path) == []


def test_packets_that_are_refused_fail_the_bench(tmp_path: Path) -> None:
    done = run(*TINY, "--only", "stream", "--set", "max_payload=1", cwd=tmp_path)
    assert done.returncode == Exit.FAILED
    assert "stream, run 1 of 1: not all 500 packets of the stream were accepted" in done.stderr
    assert files(tmp_path) == []


def test_a_setting_that_the_service_cannot_use_is_told(tmp_path: Path) -> None:
    unknown = run(*TINY, "--set", "gone=1", cwd=tmp_path)
    assert (unknown.returncode, unknown.stdout) == (Exit.CONFIG, "")
    assert "--set gone" in unknown.stderr
    unusable = run(*TINY, "--set", "concurrency=none", cwd=tmp_path)
    assert (unusable.returncode, unusable.stdout) == (Exit.FAILED, "")
    assert "COLLATOR_CONCURRENCY: 'none' is not a whole number" in unusable.stderr


def test_sigterm_ends_its_children_and_removes_its_stores(tmp_path: Path) -> None:
    with running("bench", "--only", "light", "--only", "stream", "--resources", "200", cwd=tmp_path) as program:
        program.says("light, run 1 of 3")
        left = children(program.process.pid)
        assert program.stop() == Exit.INTERRUPTED
    assert [pid for pid in left if _lives(pid)] == []
    assert [name for name in files(tmp_path) if name != program.log.name] == []


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
