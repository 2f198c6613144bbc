"""What the receiver says: of what it refuses, which anyone can send, and of what it has written."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click
import pytest

from collator.cli.receive import QUIET, SHOWN, _FileWriter, _layout, _Refusals
from collator.cli.webhook_text import Format, Layout
from collator.delivery.receiver_test import body_of_test
from collator.errors import ConfigError
from collator.processor.pointer import Pointer
from collator.settings import load
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


async def test_a_webhook_without_the_field_is_refused_so_that_it_comes_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    webhook = Received({}, b'{"type": "resource.collated", "data": {"resource_id": "r", "outputs": [{"a": 1}]}}')
    writer = _FileWriter(tmp_path, _Refusals(), Layout(field=Pointer("/b")))
    reply = await writer.take(webhook)
    why = "output 0 has nothing at /b: output 0 is an object with 'a': see --field"
    assert (reply.status, reply.text, writer.written) == (422, why, 0)
    assert not (tmp_path / "r.txt").exists()
    assert capsys.readouterr().err == f"refused: a request without a webhook-id: {why}\n"


def test_the_layout_comes_from_flags_environment_and_file(tmp_path: Path) -> None:
    (tmp_path / "collator.toml").write_text('receive_format = "jsonl"\nreceive_field = "/a"\n')
    config = str(tmp_path / "collator.toml")
    assert _layout(load({}, environ={})) == Layout(Format.TEXT, None)
    assert _layout(load({}, environ={}, config=config)).format is Format.JSONL
    chosen = _layout(load({"receive_format": "text"}, environ={"COLLATOR_RECEIVE_FIELD": "/b"}, config=config))
    assert (chosen.format, chosen.field and chosen.field.text) == (Format.TEXT, "/b")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"receive_field": "text"}, "--field: 'text' is not a JSON Pointer; write a / before each name"),
        ({"receive_field": "/a~b"}, "--field: .* write ~0 for a ~"),
        ({"receive_field": "/a", "receive_format": "json"}, "--field: the format json has the whole webhook"),
        ({"receive_format": "xml"}, "--format: "),
    ],
)
def test_a_layout_that_cannot_be_is_refused_at_the_start(flags: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        _layout(load(flags, environ={}))


def test_a_test_is_acknowledged_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    writer = _FileWriter(tmp_path, _Refusals(), Layout(field=Pointer("/b")))
    reply = asyncio.run(writer.take(Received({"webhook-id": "msg_x"}, body_of_test("crm", 0.0))))
    assert (reply.status, writer.written, [*tmp_path.iterdir()]) == (204, 0, [])
    assert capsys.readouterr().out == "test msg_x  nothing is written\n"
