"""The workers of this process as a backend: what the settings say reaches the processor and the workers."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest

from collator import workers
from collator.clock import SystemClock
from collator.errors import ConfigError
from collator.processor import Function
from collator.settings import Settings
from collator.workers import local_backend


def test_what_the_settings_say_reaches_the_processor_and_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    def stood_still() -> float:
        return 3.0

    clock, given = SystemClock(), list[Any]()
    monkeypatch.setattr(local_backend, "LocalWorkers", lambda *parts, **options: given.append((parts, options)))
    settings = Settings(
        processor_timeout=5.0,
        processor_retries=2,
        processor_patience=60.0,
        max_output=9,
        batch=4,
        concurrency=3,
        hide_payloads=True,
    )
    backend = workers.open_backend(settings, processor=len, clock=clock, stood_still=stood_still)
    asked: Any = backend
    asked.workers("ledger", "outbox", metrics="metrics", lease=11.0)
    [((ledger, processor, outbox), options)] = given
    assert (ledger, outbox) == ("ledger", "outbox")
    assert options == {"metrics": "metrics", "concurrency": 3, "lease": 11.0, "hedge": None, "tracing": None}
    assert isinstance(processor, Function)
    assert processor.batch == 4
    assert {name: value for name, value in vars(processor.outcomes).items() if name[0] != "_"} == {
        "timeout": 5.0,
        "retries": 2,
        "patience": 60.0,
        "max_output": 9,
        "clock": clock,
        "quote": False,
        "stood_still": stood_still,
    }


async def _coroutine(payload: object) -> object:
    return payload


@pytest.mark.parametrize(
    ("processor", "settings"),
    [(len, {}), (_coroutine, {"batch": 2}), (None, {"processor": "builtins:len", "pool": "process"})],
)
def test_a_hedge_is_refused_where_the_loser_cannot_be_cancelled(
    processor: Callable[..., object] | None, settings: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError, match="hedge: only calls of an HTTP service or of a coroutine function"):
        workers.open_backend(
            Settings(hedge=0.95, **settings), processor=processor, clock=SystemClock(), stood_still=lambda: 0.0
        )


@pytest.mark.parametrize("processor", [_coroutine, None])
def test_a_hedge_is_for_coroutine_functions_and_http_services(
    processor: Callable[..., object] | None,
) -> None:
    settings = Settings(hedge=0.95, processor="http://127.0.0.1:9/")
    assert workers.open_backend(settings, processor=processor, clock=SystemClock(), stood_still=lambda: 0.0)


def test_the_processor_of_a_program_counts_before_that_of_the_settings() -> None:
    settings = Settings(processor="nothing:there")
    assert not workers.open_backend(settings, processor=len, clock=SystemClock(), stood_still=lambda: 0.0).separate


@pytest.mark.parametrize(
    ("settings", "guarded"),
    [({}, True), ({"pool": "process"}, False), ({"processor": "http://127.0.0.1:9/"}, False)],
)
def test_p7_what_a_function_starts_in_the_service_is_guarded(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], guarded: bool
) -> None:
    guard = nullcontext()
    monkeypatch.setattr(workers, "run_guardian", lambda: guard)
    assert (workers.guard(Settings(**settings)) is guard) == guarded
