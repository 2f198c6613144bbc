"""A start that makes what a start before it had made says so: the database, or the secret that signs webhooks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from collator.ledgers.sqlite.store import DATABASE
from collator.pipeline import open_pipeline
from collator.settings import Settings
from tests.conformance.steps import offer, packet

pytestmark = pytest.mark.anyio
SECRET = "webhook.secret"
WEBHOOK = "http://127.0.0.1:1/"
NEW = ("info", "created the webhook secret")


async def told(data_dir: Path, webhook: str = WEBHOOK, *, packets: int = 0) -> list[tuple[str, str]]:
    """The level and the words of each line that a start logs, after which *packets* are stored."""
    settings = Settings(data_dir=data_dir, webhook=webhook)
    with capture_logs() as logs:
        async with open_pipeline(settings, processor=echo) as pipeline:
            await offer(pipeline.ledger, *(packet(index=index) for index in range(packets)))
    return [(line["log_level"], line["event"]) for line in logs]


def echo(payload: Any) -> Any:  # noqa: ANN401 - any JSON
    return payload


async def test_a_first_start_makes_a_secret_and_a_second_says_nothing(tmp_path: Path) -> None:
    assert await told(tmp_path) == [NEW]
    assert await told(tmp_path) == []


@pytest.mark.parametrize("webhook", [WEBHOOK, "none"])
@pytest.mark.parametrize("gone", [True, False])
async def test_a_database_that_is_begun_anew_beside_its_secret_is_told(
    tmp_path: Path, webhook: str, *, gone: bool
) -> None:
    await told(tmp_path, packets=1)
    (tmp_path / DATABASE).write_bytes(b"")
    if gone:
        (tmp_path / DATABASE).unlink()
    anew = "created a new database: the old one is missing or empty, but its webhook secret exists"
    assert await told(tmp_path, webhook) == [("warning", anew)]
    assert await told(tmp_path, webhook) == []


@pytest.mark.parametrize(
    ("packets", "line"),
    [
        (0, NEW),
        (1, ("warning", "created a new webhook secret; receivers need it")),
    ],
)
async def test_a_secret_that_is_made_for_a_store_in_use_is_told(
    tmp_path: Path, packets: int, line: tuple[str, str]
) -> None:
    await told(tmp_path, packets=packets)
    (tmp_path / SECRET).unlink()
    assert await told(tmp_path) == [line]
