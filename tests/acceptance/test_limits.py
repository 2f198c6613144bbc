"""Limits of a real service, as a person at the command line meets them (R9, P5)."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from collator.cli.exits import Exit
from collator.cli.main import run
from collator.errors import ConfigError
from collator.service import open_service
from collator.settings import Settings
from tests.acceptance.programs import serving


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--min-free-disk", "1000TiB"), Exit.UNREACHABLE, ("HTTP 507", "(min_free_disk)")),
        (("--max-backlog", "1"), Exit.UNREACHABLE, ("is near its limit (max_backlog)",)),
        (("--max-payload", "2"), Exit.FAILED, ("payload: 3 bytes, more than 2 (max_payload)",)),
    ],
)
def test_a_refusal_is_told_with_its_reason_and_nothing_is_stored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], code: Exit, words: tuple[str, ...]
) -> None:
    given = tmp_path / "packets.ndjson"
    given.write_text('{"resource_id": "r", "index": 0, "payload": "a"}\n')
    with serving(tmp_path, *options) as (_, url):
        assert run(["send", str(given), "--no-wait", "--patience", "200ms", "--url", url]) == code
        told = "".join(capsys.readouterr())
        run(["status", "--json", "--url", url])
        status = json.loads(capsys.readouterr().out)
    assert [word for word in words if word not in told] == []
    assert not any(status["stored"].values())
    assert status["ready"] == ("HTTP 507" not in words)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (None, "No such file"),
        ("", "it contains no token; create one with: collator token"),
        ("send collator_x me", "line 1: expected ROLES sha256:HASH NAME"),
    ],
)
async def test_a_tokens_file_that_cannot_be_used_stops_the_start(
    tmp_path: Path, content: str | None, word: str
) -> None:
    tokens = tmp_path / "tokens"
    if content is not None:
        tokens.write_text(content)
    settings = Settings(webhook="none", port=0, data_dir=tmp_path / "data", tokens_file=tokens)
    with pytest.raises(ConfigError, match=re.escape(f"tokens file {tokens}: {word}")):
        async with open_service(settings):
            pass
    assert not (tmp_path / "data").exists()
