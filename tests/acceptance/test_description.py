"""`/openapi.json` is true: schemathesis asks a real service all that it says, and judges every answer by it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from tests.acceptance.programs import environment, run, serving

CONFIGURATION = Path(__file__).with_name("description")
PHASES = "examples,coverage,fuzzing,stateful"
EXAMPLES = "3"
"""For each operation in each phase; a whole run takes a minute."""
OPEN_END = "4"
"""Seconds for an answer: a stream of events has no end, and is read for as long."""
NOBODY = "http://127.0.0.1:1/"
"""A receiver that is not there, so that there are deliveries to look at, to stop and to replay."""


def test_no_answer_of_a_service_is_undocumented_and_none_is_a_defect(tmp_path: Path) -> None:
    token = json.loads(run("token", "asks", "--role", "admin", "--add-to", "tokens", "--json", cwd=tmp_path).stdout)
    shutil.copytree(CONFIGURATION, tmp_path, dirs_exist_ok=True)  # it reads its directory, and writes into it
    # It takes everything: where all calls fail, the service says that it is not ready, which is no defect.
    options = ("--tokens-file", "tokens", "--processor", "json:dumps", "--stream-idle-timeout", "2s")
    with serving(tmp_path, *options, webhook=NOBODY) as (_, url):
        done = subprocess.run(
            [
                *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()"),
                *("run", f"{url}/openapi.json"),
                *("--header", f"Authorization: Bearer {token['token']}", "--phases", PHASES),
                *("--max-examples", EXAMPLES, "--generation-deterministic", "--request-timeout", OPEN_END),
            ],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "Stateful" in done.stdout
