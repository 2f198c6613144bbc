"""The four programs of examples/brief, as processes: from the first packet to the last file."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from collator.cli.children import free_port, listens
from tests.acceptance.programs import environment
from tests.brokers import Valkey
from tests.wait import until_sync

EXAMPLE = Path(__file__).parents[2] / "examples" / "brief"
RESOURCES = 8
PATIENCE = 120.0
"""Seconds; generous, as six programs start."""


@contextmanager
def started(*command: str | Path, cwd: Path, **variables: str) -> Iterator[None]:
    """A program of the example, which is told to end with the context."""
    given = environment(**variables)
    given["PYTHONPATH"] += f":{EXAMPLE}"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([sys.executable, *command], cwd=cwd, env=given, **quiet)  # type: ignore[call-overload]
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()


def test_the_programs_of_the_brief_leave_a_file_for_each_resource(tmp_path: Path) -> None:
    port, inbox = free_port(), free_port()
    with closing(Valkey()) as valkey, ExitStack() as stack:
        app = {"COLLATOR_WEBHOOK": f"http://127.0.0.1:{inbox}/", "COLLATOR_PORT": str(port)}
        shared = {"COLLATOR_BROKER": valkey.url(), "COLLATOR_PROCESSOR": "ancillary:lengths"}
        worker = ("-m", "celery", "-A", "collator.workers.celery", "worker", "-l", "error", "-c", "2")
        stack.enter_context(started(*worker, cwd=tmp_path, **shared))
        stack.enter_context(started(EXAMPLE / "app.py", cwd=tmp_path, **app, COLLATOR_BROKER=valkey.url()))
        until_sync(lambda: listens(port), PATIENCE)
        secret = tmp_path / "collator-data" / "webhook.secret"
        webhook = (EXAMPLE / "webhook.py", "files", secret, str(inbox))
        stack.enter_context(started(*webhook, cwd=tmp_path))
        producer = (EXAMPLE / "producer.py", str(RESOURCES), f"http://127.0.0.1:{port}")
        subprocess.run([sys.executable, *producer], env=environment(), check=True, timeout=PATIENCE)
        files = tmp_path / "files"
        until_sync(lambda: len([*files.glob("*.txt")]) == RESOURCES, PATIENCE)
    sentence = "the quick brown fox jumps over the lazy dog"
    for path in files.glob("*.txt"):
        outputs = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        assert outputs == [[len(word) for word in sentence[index:].split()] for index in range(len(outputs))]
