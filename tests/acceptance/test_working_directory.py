"""A function that changes the working directory, as notebooks and old libraries do: every path stays what it was."""

from __future__ import annotations

import json
import os
import urllib.request
from pathlib import Path
from typing import Any, Literal

import pytest

from collator import Collator
from tests.acceptance.programs import Program, receiving, serving
from tests.wait import until_sync

WANDERS = """
import os

def away(payload):
    os.chdir("/")
    import found_later  # a module that is first wanted where it is not
    return found_later.NAME + payload
"""


def ask(url: str, body: object = None) -> Any:  # noqa: ANN401 - any JSON
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})  # noqa: S310 - our own service
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - as above
        return json.loads(answer.read())


def collate(url: str, resource_id: str) -> Any:  # noqa: ANN401 - as above
    """The outputs of a resource of one packet."""
    ask(f"{url}/v1/packets", {"resource_id": resource_id, "index": 0, "payload": "x", "last": True})
    path = f"{url}/v1/resources/{resource_id}"
    until_sync(lambda: ask(path)["state"] != "open", 10)
    return ask(f"{path}/outputs")


@pytest.mark.parametrize("config", ["collator.toml", "conf/c.toml"])
@pytest.mark.parametrize("pool", ["thread", "process"])
def test_a_service_goes_on_where_a_function_changes_the_directory(tmp_path: Path, pool: str, config: str) -> None:
    (tmp_path / "wanders.py").write_text(WANDERS)
    (tmp_path / "found_later.py").write_text("NAME = 'later '")
    (tmp_path / config).parent.mkdir(exist_ok=True)
    (tmp_path / config).write_text("webhook_secret_file = 'secrets'")
    secrets = (tmp_path / config).with_name("secrets")
    secrets.write_text("whsec_" + "a" * 32)
    secrets.chmod(0o600)
    options = ["--config", config, "--data-dir", "data", "--processor", "wanders:away", "--pool", pool]
    with (
        receiving(tmp_path, "--secret-file", str(secrets)) as (receiver, webhook),
        serving(tmp_path, *options, webhook=webhook) as (program, url),
    ):
        for number in range(3):
            (outcome,) = collate(url, f"r{number}")["outputs"]
            assert outcome["output"] == "later x"
            receiver.says(rf"r{number}\.txt")  # signed, with the secret as it is read again
        assert ask(f"{url}/v1/status")["ready"]
        assert complaints(program) == []


def complaints(program: Program) -> list[str]:
    return [line for line in program.output().splitlines() if "level=info" not in line]


@pytest.mark.anyio
@pytest.mark.parametrize("pool", ["thread", "process"])
async def test_a_program_may_go_elsewhere_once_its_collator_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pool: Literal["thread", "process"]
) -> None:
    (tmp_path / f"mine_{pool}.py").write_text("import os\ndef shout(text):\n    return text.upper()\n")
    (elsewhere := tmp_path / "elsewhere").mkdir()
    monkeypatch.syspath_prepend(os.fspath(elsewhere))  # which gives back the path as it was
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("collator.ledgers.sqlite.disk.LOOK", 0.0)  # the disk is looked at for each packet
    collator = Collator("calls", processor=f"mine_{pool}:shout", pool=pool)
    monkeypatch.chdir(elsewhere)
    async with collator:
        await collator.send([{"resource_id": "r", "index": 0, "payload": "x", "last": True}])
        monkeypatch.chdir(tmp_path.parent)
        await collator.send([{"resource_id": "s", "index": 0, "payload": "x"}])
        assert (await collator.result("r", timeout=20))["outputs"] == ["X"]
    assert ((tmp_path / "calls").is_dir(), [path.name for path in elsewhere.iterdir()]) == (True, [])
