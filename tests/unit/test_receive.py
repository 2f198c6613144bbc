"""What the receiver says of what it refuses, which anyone can send."""

from __future__ import annotations

import pytest

from collator.cli.inbox import Received
from collator.cli.receive import QUIET, SHOWN, _Refusals
from collator.testing import ManualClock


def test_a_refusal_is_told_in_one_line_with_nothing_but_the_id(capsys: pytest.CaptureFixture[str]) -> None:
    headers = {"webhook-id": "msg\x1b[2J\n" + "x" * 1000, "webhook-signature": "v1,secret"}
    _Refusals().tell(Received(headers, b"payload"), "no entry of webhook-signature fits")
    told = capsys.readouterr().err
    assert told == f"refused: webhook 'msg\\x1b[2J\\n{'x' * (SHOWN - 8)}': no entry of webhook-signature fits\n"


def test_a_flood_of_refusals_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    clock = ManualClock()
    refusals = _Refusals(clock.monotonic)
    for number in range(1000):
        refusals.tell(Received({"webhook-id": f"msg_{number}"}, b""), "why")
    clock.advance(QUIET)
    refusals.tell(Received({"webhook-id": "last"}, b""), "why")
    assert capsys.readouterr().err.splitlines() == [
        "refused: webhook 'msg_0': why",
        "refused: webhook 'last': why (and 999 more since the last such line)",
    ]
