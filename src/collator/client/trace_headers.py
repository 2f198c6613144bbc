"""The trace of the caller, for the headers of a request (W3C Trace Context)."""

from __future__ import annotations

import sys


def trace_headers() -> dict[str, str]:
    """The headers that name the span that is current in the caller; none where there is none.

    OpenTelemetry is not loaded for that: where the program has not done so, no span can be current.
    """
    if "opentelemetry.trace" not in sys.modules:
        return {}
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    headers: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(headers)
    return headers
