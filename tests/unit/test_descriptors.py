"""What the settings want of open files, and what becomes of them where fewer may be open (P5)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from collator.descriptors import LEAST, OWN, fitted
from collator.errors import ConfigError
from collator.settings import EndpointSettings, Settings

URL = "http://127.0.0.1:9/"


def settings(*concurrencies: int | None, **more: object) -> Settings:
    endpoints = tuple(
        EndpointSettings(name=f"e{place}", url=URL, concurrency=one) for place, one in enumerate(concurrencies)
    )
    return Settings(data_dir=Path("data"), endpoints=endpoints, **more)  # type: ignore[arg-type]


def under_way(made: Settings) -> list[int]:
    named = [one.concurrency or made.delivery_concurrency for one in made.endpoints]
    return named if made.webhook is None else [made.delivery_concurrency, *named]


def test_the_defaults_fit_what_systems_allow_and_say_nothing() -> None:
    made = settings(webhook=URL)
    with capture_logs() as logs:
        assert fitted(made, 1024) is made
    assert logs == []


def test_sixteen_endpoints_within_1024_files_leave_the_listener_its_share() -> None:
    with capture_logs() as logs:
        made = fitted(settings(*[None] * 16), 1024)
    assert under_way(made) == [30] * 16
    assert made.max_connections == 1024 - OWN - 488
    (line,) = logs
    assert (line["limit"], line["wanted"]) == (1024, OWN + 16 * 64 + 900)
    assert line["webhooks_at_a_time"] == "480 instead of 1024"
    assert line["max_connections"] == "488 instead of 900"


@pytest.mark.parametrize(
    ("more", "own"),
    [
        ({}, OWN),
        ({"processor": "http://127.0.0.1:9/", "concurrency": 50}, OWN + 50),
        ({"pool": "process", "concurrency": 50}, OWN + 150),
    ],
)
def test_what_the_processor_needs_is_counted(more: dict[str, object], own: int) -> None:
    made = settings(webhook=URL, **more)
    assert fitted(made, own + 964) is made
    with capture_logs():
        assert fitted(made, own + 963).max_connections == 899


def test_too_few_to_serve_with_is_said_at_the_start() -> None:
    with pytest.raises(ConfigError, match="limit of open files is 60, and the service needs at least"):
        fitted(settings(webhook=URL), 60)


@given(
    st.lists(st.none() | st.integers(1, 5000), min_size=1, max_size=40),
    st.sampled_from([None, "none", URL]),
    st.integers(1, 100_000),
    st.integers(1, 4000),
)
def test_p5_whatever_is_set_all_together_keeps_within_the_limit(
    concurrencies: list[int | None], webhook: str | None, connections: int, most: int
) -> None:
    wanted = settings(*concurrencies, max_connections=connections)
    with capture_logs():
        try:
            made = fitted(wanted, most)
        except ConfigError as error:
            least = int(error.detail.split("at least ")[1].split(":")[0])
            assert most < least
            assert fitted(wanted, least)
            return
    assert OWN + sum(under_way(made)) + made.max_connections <= most
    assert made.max_connections >= min(LEAST, connections)
    for before, after in zip(under_way(wanted), under_way(made), strict=True):
        assert 1 <= after <= before
