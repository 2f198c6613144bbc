"""Two nodes and two workers in network namespaces of their own, of which one of each is cut off and comes back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.requirements import need

ROOT = Path(__file__).parents[2]
LIMIT = 590.0


def cut_off(home: Path, how: str = "") -> subprocess.CompletedProcess[str]:
    """Run the cluster in *home*, as *how* says."""
    need(sys.platform == "linux" and os.geteuid() == 0, "root, on Linux, for network namespaces")
    command = f'ip link set lo up && exec "{sys.executable}" -m tests.cluster.partition "{home}" {how}'
    return subprocess.run(
        ["unshare", "--net", "--", "sh", "-c", command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


@pytest.mark.cluster
def test_p1_nodes_and_workers_that_are_cut_off_and_come_back_lose_nothing(tmp_path: Path) -> None:
    done = cut_off(tmp_path)
    assert done.returncode == 0, f"{done.stdout[-8000:]}\n{done.stderr[-4000:]}"
