"""The parts of traces: headers by the standard, a memory with bounds, and nothing of it where it is off."""

from __future__ import annotations

import subprocess
import sys
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import INVALID_SPAN, SpanContext, SpanKind, TraceFlags, TraceState
from structlog.testing import capture_logs

from collator.errors import ConfigError
from collator.messages import Key
from collator.tracing import headers, memory, open_tracing
from collator.tracing.memory import TraceMemory
from collator.tracing.span_factory import SpanFactory, operation

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{SPAN}-01"


def read(*parents: str, state: str | None = None) -> SpanContext | None:
    states = [] if state is None else [(b"tracestate", state.encode())]
    return headers.read([(b"host", b"h"), *[(b"traceparent", one.encode()) for one in parents], *states])


@pytest.mark.parametrize(
    "parents",
    [
        [],
        [""],
        [GOOD, GOOD],
        [GOOD.upper()],
        [GOOD + "-"],
        [GOOD + "-more"],
        [GOOD[:-1]],
        [GOOD.replace("-", "_")],
        [f"ff-{TRACE}-{SPAN}-01"],
        [f"0g-{TRACE}-{SPAN}-01"],
        [f"00-{'0' * 32}-{SPAN}-01"],
        [f"00-{TRACE}-{'0' * 16}-01"],
        [f"01-{TRACE}-{SPAN}-01more"],
        ["x" * 10_000],
    ],
)
def test_a_malformed_traceparent_is_as_none(parents: list[str]) -> None:
    assert read(*parents, state="a=1") is None


@pytest.mark.parametrize(
    "good", [GOOD, f" {GOOD}\t", f"01-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-ff-what-comes-later"]
)
def test_a_good_one_is_read_of_later_versions_too(good: str) -> None:
    found = read(good)
    assert found is not None
    assert (f"{found.trace_id:032x}", f"{found.span_id:016x}", found.trace_flags.sampled) == (TRACE, SPAN, True)


@pytest.mark.parametrize(
    ("state", "taken"),
    [
        ("a=1", "a=1"),
        ("a=1 ,\tt@v=x y,", "a=1,t@v=x y"),
        ("a=1,a=2", ""),
        ("a=1,B=2", ""),
        ("a=1,b", ""),
        ("a=x=y", ""),
        ("a=\x7f", ""),
        (",".join(f"k{n}=1" for n in range(33)), ""),
        ("a=" + "1" * 600, ""),
        ("", ""),
    ],
)
def test_a_tracestate_goes_on_whole_or_not_at_all(state: str, taken: str) -> None:
    found = read(GOOD, state=state)
    assert found is not None
    assert headers.write(found) == {"traceparent": GOOD} | ({"tracestate": taken} if taken else {})


SPANS = count(1)


def span(*, sampled: bool = True, state: str = "") -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else 0)
    return SpanContext(1, next(SPANS), False, flags, TraceState([("a", state)]) if state else None)


def key(index: int, *, generation: bytes = b"g" * 16) -> Key:
    return Key("r", generation, index)


def test_a_packet_without_a_trace_of_its_own_is_in_that_of_its_resource() -> None:
    kept, first, second = TraceMemory(), span(), span()
    kept.sent("r", 0, first)
    kept.sent("r", 1, second)
    assert [kept.parent(key(index)) for index in range(3)] == [first, second, first]


def test_a_generation_that_follows_begins_where_its_packets_were_sent() -> None:
    kept, old, new, call = TraceMemory(), span(), span(), span()
    kept.sent("r", 0, old)
    kept.parent(key(0))
    kept.processed(key(0), call, over=True)
    assert kept.resource("r", b"g" * 16) == (old, [call])
    kept.sent("r", 0, new)
    later = key(0, generation=b"h" * 16)
    assert kept.parent(later) == new
    assert kept.resource("r", later.generation) == (new, [])
    assert kept.resource("r", b"g" * 16) == (None, [])


def test_what_is_kept_is_bounded_and_what_was_used_of_late_stays() -> None:
    kept = TraceMemory(most=100, most_bytes=100_000)
    for number in range(1000):
        kept.sent(f"r{number}", 0, span(state="x" * 200))
        kept.parent(Key("r0", b"g" * 16, 0))
        assert kept.size <= 100_000
    assert len(kept) <= 100
    assert kept.resource("r0", b"g" * 16)[0] is not None
    assert kept.resource("r500", b"g" * 16)[0] is None
    kept = TraceMemory()
    for index in range(2 * memory.MOST_PACKETS):
        kept.sent("r", index, span())
        kept.processed(key(index + 10**6), span(), over=True)
    assert len(kept.resource("r", b"g" * 16)[1]) == memory.MOST_LINKS
    most = (memory.MOST_PACKETS + memory.MOST_LINKS + 3) * 450
    assert kept.size < most
    for index in range(2 * memory.MOST_PACKETS):
        kept.processed(key(index), span(sampled=False), over=True)
    assert kept.size < (memory.MOST_LINKS + 3) * 450, "what is processed is given back"


class Failing(TracerProvider):
    def get_tracer(self, *_: Any, **__: Any) -> Any:  # noqa: ANN401 - it is none
        return self

    def start_span(self, *_: Any, **__: Any) -> Any:  # noqa: ANN401 - as above
        raise RuntimeError("sampler")


def test_errors_of_the_provider_are_logged_once_and_cost_a_span_alone() -> None:
    factory = SpanFactory(Failing(shutdown_on_exit=False))
    with capture_logs() as lines:
        spans = [factory.begin(operation("send", "send", SpanKind.PRODUCER), Context(), {}) for _ in range(9)]
        factory.end(spans[0])
    assert spans == [INVALID_SPAN] * 9
    assert [line["event"] for line in lines] == ["OpenTelemetry failed; a span is lost"]


@pytest.mark.anyio
async def test_without_the_extra_its_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("collator.tracing.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ConfigError, match=r"tracing needs OpenTelemetry: pip install 'collator\[otel\]'"):
        async with open_tracing(on=True, own_process=False):
            pytest.fail("there is nothing to trace by")


@pytest.mark.anyio
async def test_a_variable_that_cannot_be_used_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "-1")
    with pytest.raises(ConfigError, match=r"tracing: a variable of OpenTelemetry \(OTEL_…\) cannot be used: .*queue"):
        async with open_tracing(on=True, own_process=False):
            pytest.fail("it has no queue")


PROGRAM = """
import asyncio, sys
from collator import Client, Collator
from collator.service import run

async def main():
    async with Collator(sys.argv[1], processor=len) as collator:
        await collator.send([{"resource_id": "a", "index": 0, "payload": "x", "last": True}])
        await collator.result("a", timeout=30)

asyncio.run(main())
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""


def test_where_traces_are_off_nothing_of_them_is_loaded(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM, tmp_path], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n", ended
