"""The chaos that users can run: a sound service stands it, and a store that loses a packet does not."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import apsw
import pytest

from collator.cli.chaos import chaos_run
from collator.cli.chaos.chaos_run import ChaosRun
from collator.cli.chaos.service_process import ServiceProcess
from collator.cli.exits import Exit
from collator.client import transfer
from collator.webhook import Received
from tests.acceptance.programs import children, run, running
from tests.harness.service import ROOT
from tests.wait import until_sync

pytestmark = pytest.mark.anyio
LOSE = """
create temp table lost as select min(k) as k from packet p join resource r on r.rk = p.k >> 24
where r.state = 'open' and k not in (select k from outcome);
delete from packet where k in (select k from lost);
update resource set received = received - 1 where rk in (select k >> 24 from lost);
select id from resource where rk in (select k >> 24 from lost);
"""


def test_p1_a_service_stands_being_killed_and_nothing_is_left_behind(tmp_path: Path) -> None:
    done = run("chaos", "--rounds", "2", "--seed", "1", "--json", cwd=tmp_path, env={"TMPDIR": str(tmp_path)})
    assert done.returncode == Exit.OK, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["kills"], answer["complaints"]) == (2, [])
    assert answer["resources"] == answer["delivered"] > 0
    assert "kill 2 of 2" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_torture_that_is_stopped_leaves_nothing_behind(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "tmp").mkdir()
    with running("chaos", "--rounds", "999", cwd=tmp_path, env={"TMPDIR": str(tmp_path / "tmp")}) as chaos:
        chaos.says("kill 1 of 999")
        until_sync(lambda: sys.platform != "linux" or children(chaos.process.pid))
        left = children(chaos.process.pid)
        assert chaos.stop(number) == Exit.INTERRUPTED
        assert "interrupted; the service has ended, and its directory is removed" in chaos.output()
        assert "Traceback" not in chaos.output()
    assert [pid for pid in left if Path(f"/proc/{pid}").exists()] == []
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_directory_that_was_named_stays_when_it_is_stopped(tmp_path: Path) -> None:
    with running("chaos", "--rounds", "999", "--dir", "mine", cwd=tmp_path) as chaos:
        chaos.says("kill 1 of 999")
        assert chaos.stop() == Exit.INTERRUPTED
        assert "everything is in mine" in chaos.output()
    assert (tmp_path / "mine" / "serve.log").is_file()


async def test_no_webhook_is_refused_so_often_that_all_wait_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chaos_run, "REFUSED", 1)  # all that may be refused
    chaos = ChaosRun(tmp_path, rounds=0, seed=1)
    body = b'{"data": {"resource_id": "a", "outputs": []}}'
    said = [(await chaos._take(Received({"webhook-id": "msg_1"}, body))).status for _ in range(4)]
    assert said == [503, 503, 204, 204]


async def test_a_packet_that_goes_lost_is_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed = tmp_path / "killed"
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("GATE", str(killed))
    gated = ("--processor", "tests.harness.processors:gated")  # so that packets have no output when the kill comes
    monkeypatch.setattr(chaos_run, "ServiceProcess", lambda *arguments: ServiceProcess(*arguments, *gated))
    kill = ServiceProcess.kill
    lost: list[str] = []

    def kill_and_lose(service_process: ServiceProcess) -> None:
        kill(service_process)
        killed.touch()
        if (service_process.data_dir / "collator.db").exists():
            connection = apsw.Connection(str(service_process.data_dir / "collator.db"))
            lost.extend(str(resource_id) for (resource_id,) in connection.execute(LOSE))
            connection.close()

    monkeypatch.setattr(ServiceProcess, "kill", kill_and_lose)
    monkeypatch.setattr(chaos_run, "PATIENCE", 3.0)
    monkeypatch.setattr(transfer, "LONGEST_PAUSE", 0.5)
    monkeypatch.setattr(chaos_run, "YOUNG", 1_000_000)
    chaos = ChaosRun(tmp_path, rounds=1, seed=1)
    await chaos.run(lambda _: None)
    told = " ".join(chaos.complaints)
    assert len(lost) == 1
    assert f"{lost[0]} was sent but never delivered" in told
    assert "the database: " in told
