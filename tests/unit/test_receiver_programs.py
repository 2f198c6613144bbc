"""What the receivers of examples/receivers share: the inbox, and the program that goes through it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from collator.delivery.receiver_test import body_of_test

EXAMPLES = Path(__file__).parents[2] / "examples" / "receivers"
EARLY, LATE = "2026-11-24T02:05:00Z", "2026-11-24T02:05:00.5Z"


def put(inbox: Path, webhook_id: str, resource_id: str, *, at: str = EARLY, **data: Any) -> None:  # noqa: ANN401 - JSON
    inbox.mkdir(exist_ok=True)
    kind = "resource.collated" if "outputs" in data else "resource.incomplete"
    event = {"type": kind, "timestamp": at, "data": {"resource_id": resource_id, **data}}
    (inbox / f"msg_{webhook_id}.json").write_text(json.dumps(event), "utf-8")


def texts(home: Path) -> dict[str, str]:
    """What the program makes of the inbox in *home*."""
    subprocess.run([sys.executable, EXAMPLES / "texts.py", "inbox", "texts"], cwd=home, check=True, timeout=60)
    return {path.name: path.read_text("utf-8") for path in (home / "texts").iterdir()}


def lacking(*partial: dict[str, Any], **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"partial": partial, "missing": [[1, 2]], "unfinished": [], "failed": [], **more}


def test_each_resource_has_one_file_whatever_its_id(tmp_path: Path) -> None:
    long = "é" * 127
    put(tmp_path / "inbox", "a", "../call/17", outputs=["hello", {"n": "é"}])
    put(tmp_path / "inbox", "b", long, outputs=[])
    put(tmp_path / "inbox", "c", long[:-1], outputs=["x"])
    (tmp_path / "inbox" / "half.new").write_text("{")
    found = texts(tmp_path)
    assert found.pop("..%2Fcall%2F17.txt") == 'hello\n{"n": "é"}\n'
    assert sorted(found.values()) == ["", "x\n"]


def test_a_test_of_the_receiver_is_passed_over(tmp_path: Path) -> None:
    put(tmp_path / "inbox", "a", "r", outputs=["hello"])
    (tmp_path / "inbox" / "msg_b.json").write_bytes(body_of_test("crm", 0.0))
    assert texts(tmp_path) == {"r.txt": "hello\n"}


def test_an_incomplete_resource_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    put(tmp_path / "inbox", "a", "r", **lacking({"index": 0, "output": "hello"}))
    assert texts(tmp_path) == {
        "r.incomplete.txt": "# incomplete: missing [[1, 2]], unfinished [], failed []\n0: hello\n"
    }


@pytest.mark.parametrize("first", ["old", "new"])
def test_the_later_webhook_of_a_resource_counts_in_whatever_order_they_come(tmp_path: Path, first: str) -> None:
    for webhook in ["old", "new"] if first == "old" else ["new", "old"]:
        if webhook == "old":
            put(tmp_path / "inbox", "a", "r", **lacking())
        else:
            put(tmp_path / "inbox", "b", "r", at=LATE, outputs=["whole"])
        texts(tmp_path)
    assert texts(tmp_path) == {"r.txt": "whole\n"}


def test_a_webhook_that_another_supersedes_does_not_count_whatever_the_clock_said(tmp_path: Path) -> None:
    put(tmp_path / "inbox", "a", "r", at=LATE, **lacking())
    put(tmp_path / "inbox", "b", "r", at=EARLY, outputs=["whole"], supersedes="msg_a")
    assert texts(tmp_path) == {"r.txt": "whole\n"}


def test_a_file_that_is_right_stays_as_it_is(tmp_path: Path) -> None:
    put(tmp_path / "inbox", "a", "r", outputs=["x"])
    texts(tmp_path)
    before = (tmp_path / "texts" / "r.txt").stat()
    texts(tmp_path)
    after = (tmp_path / "texts" / "r.txt").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_webhook_that_cannot_be_stored_leaves_nothing_in_the_inbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(EXAMPLES)
    inbox = import_module("inbox")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    box = inbox.Inbox(tmp_path / "inbox")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            box.store("msg_a", b"{}")
    assert [*(tmp_path / "inbox").iterdir()] == []
    box.store("msg_a", b"{}")
    assert [path.name for path in (tmp_path / "inbox").iterdir()] == ["msg_a.json"]
