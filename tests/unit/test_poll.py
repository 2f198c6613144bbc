"""Waiting for a result: as long as it takes, through an outage, and no longer than patience lasts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from collator.client import Unreachable, poll
from collator.client.poll import poll_until_ended
from collator.errors import Unknown

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poll, "SOONEST", 0.0)
    monkeypatch.setattr(poll, "LATEST", 0.0)


class Script:
    """What is seen, look after look; an error is raised."""

    def __init__(self, *answers: str | Exception) -> None:
        self.left: Sequence[str | Exception] = answers

    async def look(self) -> dict[str, Any]:
        answer, *self.left = self.left
        if isinstance(answer, Exception):
            raise answer
        return {"state": answer}


@pytest.mark.parametrize("end", ["collated", "incomplete", "cancelled"])
async def test_it_looks_until_the_end(end: str) -> None:
    script = Script("open", "open", end, "open")
    assert await poll_until_ended(script.look, patience=None) == {"state": end}
    assert script.left == ["open"]


async def test_an_outage_is_waited_out() -> None:
    script = Script("open", Unreachable("away"), Unreachable("away"), "collated")
    assert await poll_until_ended(script.look, patience=60) == {"state": "collated"}


async def test_patience_ends_with_the_last_error() -> None:
    with pytest.raises(Unreachable, match="for good"):
        await poll_until_ended(Script("open", Unreachable("for good")).look, patience=0)


async def test_what_is_no_outage_is_raised_at_once() -> None:
    with pytest.raises(Unknown):
        await poll_until_ended(Script("open", Unknown("purged"), "collated").look, patience=None)
