"""Traces (OpenTelemetry): spans of what the service does with packets, in the trace of who sent them.

| file | what lives there |
|---|---|
| `tracer` | the spans: `send` of packets, `process` of each attempt, `deliver` of each webhook |
| `span_factory` | how a span begins and ends, whatever the provider does |
| `memory` | in which trace each packet and resource is, in memory and bounded |
| `headers` | `traceparent` and `tracestate` (W3C Trace Context), read and written |
| `provider` | where spans go: the provider of the program, or one of our own with its exporter |

Theory. A trace is a help to look at, and nothing depends on it: what is not known begins a trace of its own. Where
traces are off nothing here is imported, and the parts that make spans have `None` instead of a `Tracing`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from collator.errors import ConfigError

if TYPE_CHECKING:
    from collator.tracing.tracer import Tracing


@asynccontextmanager
async def open_tracing(*, on: bool, own_process: bool) -> AsyncIterator[Tracing | None]:
    """The spans of a pipeline, which are exported by the end of the context; `None` where they are not *on*.

    *own_process*: whether this is the process of a service, so that its exporter may serve libraries of the
    processor too. Raises `ConfigError` where the libraries are missing, or their variables cannot be used.
    """
    if not on:
        yield None
        return
    try:
        from collator.tracing.provider import open_provider
        from collator.tracing.tracer import Tracing
    except ImportError as error:
        raise ConfigError(f"tracing needs OpenTelemetry: pip install 'collator[otel]' ({error})") from None
    async with open_provider(own_process=own_process) as provider:
        yield Tracing(provider)
