"""A clock that is far ahead at a start: a person hears of it, and says whether it is right."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from collator.pipeline import open_pipeline
from collator.settings import Settings
from collator.testing import ManualClock

DAY = 86_400.0


@pytest.mark.parametrize(
    ("ahead", "options", "behind"),
    [
        (40 * DAY, {}, 40 * DAY),
        (40 * DAY, {"accept_clock": True}, 0.0),
        (40 * DAY, {"clock_jump": 50 * DAY}, 0.0),
        (0.9 * DAY, {}, 0.0),
        (-40 * DAY, {}, 0.0),
    ],
)
async def test_p6_a_clock_that_has_jumped_is_told_in_the_log_and_in_a_metric(
    tmp_path: Path, ahead: float, options: dict[str, Any], behind: float
) -> None:
    clock = ManualClock()
    settings = Settings(data_dir=tmp_path / "data", webhook="none", **options)
    async with open_pipeline(settings, clock=clock) as pipeline:
        assert pipeline._backend.behind == 0.0, "what is made has no time before"
    clock.jump_wall(ahead)
    with capture_logs() as logs:
        async with open_pipeline(settings, clock=clock) as pipeline:
            shown = re.search(r"^collator_clock_behind_seconds (\S+)", pipeline.metrics.text().decode(), re.MULTILINE)
    assert shown
    assert float(shown[1]) == behind
    told = [line for line in logs if "clock" in line["event"]]
    assert [(line["log_level"], line["days"]) for line in told] == ([("error", 40.0)] if behind else [])
