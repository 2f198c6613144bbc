"""The demo, as a newcomer runs it: it shows the real thing, checks it, and leaves nothing running."""

from __future__ import annotations

import re
import shlex
import signal
import sys
from pathlib import Path

import pytest

from collator.cli.children import listens, typed
from collator.cli.demo import check
from collator.cli.exits import Exit
from collator.cli.packet_plan import Plan
from tests.acceptance.programs import files, run, running
from tests.wait import until_sync


def ports(text: str) -> list[int]:
    """The ports of the service and the receiver, as the demo tells them."""
    return [int(port) for port in re.findall(r"(?:service|receiver) +http://127\.0\.0\.1:(\d+)", text)]


def test_the_demo_shows_the_flow_and_leaves_what_came_out_of_it(tmp_path: Path) -> None:
    done = run("demo", "--seed", "7", "--packets", "1-10", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (Exit.OK, "")
    assert "12 of 12 files were received, and every line is right." in done.stdout
    (directory,) = tmp_path.glob("collator-demo-*")
    assert files(directory) == ["collator-data", "receive.log", "received", "serve.log"]
    assert check(Plan(seed=7, resources=12, packets=(1, 10)), directory / "received") == []
    assert len(ports(done.stdout)) == 2
    assert not any(map(listens, ports(done.stdout)))
    assert f"\n  {shlex.quote(sys.executable)} -m collator serve --webhook" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="scripts are called otherwise there")
def test_what_the_demo_says_to_try_next_can_be_typed_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "a venv" / "bin" / "collator"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    assert typed("a venv/bin/collator") == "'a venv/bin/collator'"
    monkeypatch.setenv("PATH", str(script.parent))
    assert typed("a venv/bin/collator") == "collator"
    assert typed("other/collator") == "other/collator"


def test_the_demo_minds_no_settings_that_lie_around(tmp_path: Path) -> None:
    (tmp_path / "collator.toml").write_text("nonsense = 1")
    done = run("demo", "--resources", "1", "--packets", "1", "--dir", "out", cwd=tmp_path, env={"COLLATOR_PORT": "x"})
    assert done.returncode == Exit.OK, done.stderr
    assert (tmp_path / "out" / "received").is_dir()


def test_the_demo_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    done = run("demo", "--dir", "out", cwd=tmp_path)
    assert done.returncode == Exit.CONFIG
    assert done.stderr == "collator: cannot create out: File exists; choose a new directory with --dir\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_demo_that_is_stopped_leaves_nobody_behind(tmp_path: Path, number: signal.Signals) -> None:
    with running("demo", "--resources", "50", "--packets", "200", cwd=tmp_path) as demo:
        demo.says(r"acknowledged \d")
        assert demo.stop(number) == Exit.INTERRUPTED
        assert "Traceback" not in demo.output()
        assert "interrupted; service and receiver have ended" in demo.output()
        assert len(ports(demo.output())) == 2
        until_sync(lambda: not any(map(listens, ports(demo.output()))))


def test_the_check_finds_what_is_missing_wrong_or_too_much(tmp_path: Path) -> None:
    plan = Plan(seed=1, resources=3, packets=(2, 2))
    payloads = {(step.packet["resource_id"], step.packet["index"]): step.packet["payload"] for step in plan.steps()}
    for name in plan.sizes():
        lengths = [[len(word) for word in payloads[name, index].split()] for index in range(2)]
        (tmp_path / f"{name}.txt").write_text("".join(f"{line}\n" for line in lengths))
    assert check(plan, tmp_path) == []
    first, second, third = sorted(tmp_path.iterdir())
    first.unlink()
    second.write_text("\n".join(reversed(second.read_text().splitlines())))
    third.write_text("[1")
    (tmp_path / "other.txt").write_text("")
    wrong = check(plan, tmp_path)
    assert [line.removeprefix(f"{tmp_path}/").partition(" ")[2][:9] for line in wrong] == [
        "not found",
        "its 2 lin",
        "not JSON:",
        "unexpecte",
    ]
