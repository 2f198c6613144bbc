"""What the receiver says: of what it refuses, which anyone can send, and of what it has written."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from collator.cli.receive import QUIET, SHOWN, _FileWriter, _Refusals
from collator.testing import ManualClock
from collator.webhook import Received


def test_a_refusal_is_told_in_one_line_with_nothing_but_the_id(capsys: pytest.CaptureFixture[str]) -> None:
    headers = {"webhook-id": "msg\x1b[2J\n" + "x" * 1000, "webhook-signature": "v1,secret"}
    _Refusals().tell(headers["webhook-id"], "no signature in webhook-signature matches")
    told = capsys.readouterr().err
    assert told == f"refused: webhook 'msg\\x1b[2J\\n{'x' * (SHOWN - 8)}': no signature in webhook-signature matches\n"


def test_a_flood_of_refusals_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    clock = ManualClock()
    refusals = _Refusals(clock.monotonic)
    for number in range(1000):
        refusals.tell(f"msg_{number}", "why")
    clock.advance(QUIET)
    refusals.tell("last", "why")
    assert capsys.readouterr().err.splitlines() == [
        "refused: webhook 'msg_0': why",
        "refused: webhook 'last': why (and 999 more since the last such line)",
    ]


async def test_what_is_written_is_acknowledged_though_nobody_can_be_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_text: str, **_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(click, "echo", full)
    webhook = Received({}, b'{"type": "resource.collated", "data": {"resource_id": "r", "outputs": [1]}}')
    assert (await _FileWriter(tmp_path, _Refusals()).take(webhook)).status == 204
    assert (tmp_path / "r.txt").read_text() == "1\n"
