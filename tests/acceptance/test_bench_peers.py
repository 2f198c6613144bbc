"""The measurement of peers, as real processes: each does the job, and its webhooks are right."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

import bench
import collator
from bench.peers.children import PYTHON
from bench.peers.systems import PEERS
from tests.acceptance import programs
from tests.acceptance.programs import files

COMMAND = (sys.executable, "-m", "bench.peers", "--runs", "1", "--resources", "20", "--json")
PATH = {"PYTHONPATH": os.pathsep.join(str(Path(str(one.__file__)).parents[1]) for one in (bench, collator))}


@pytest.mark.cluster
@pytest.mark.parametrize("name", [name for name, peer in PEERS.items() if not peer.asks_outside])
def test_a_peer_does_the_job_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    missing = PEERS[name].missing() or (None if PYTHON.exists() else "its libraries are not installed")
    if missing:  # in CI too: make bench-peers installs them, and nothing else needs them
        pytest.skip(f"{name}: {missing}")
    done = programs.run("--only", name, "--dir", str(tmp_path), cwd=tmp_path, env=PATH, command=COMMAND)
    assert done.returncode == 0, done.stderr
    (run,) = json.loads(done.stdout)["runs"][name]
    assert run["packets_per_second"] > 0
    assert run["delay_ms"] > 0
    assert files(tmp_path) == []
