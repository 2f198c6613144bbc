"""The headers of W3C Trace Context: `traceparent` names the trace and the span, `tracestate` is what vendors add.

Read as the standard says: a `traceparent` that is malformed, or comes twice, is as none, and `tracestate` counts only
beside a good one. No other propagator is asked, so that no header but these two reaches a receiver of webhooks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from opentelemetry.trace import SpanContext, TraceFlags, TraceState

MAX_STATE = 512
"""Bytes of a `tracestate` that is taken; a longer one is dropped, as the standard allows."""

_PARENT = re.compile(rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SIMPLE = r"[a-z][a-z0-9_*/-]{0,255}"
_TENANT = r"[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13}"
_VALUE = r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_MEMBER = re.compile(rf"({_SIMPLE}|{_TENANT})=({_VALUE})")
_MOST_MEMBERS = 32


def read(fields: Iterable[tuple[bytes, bytes]]) -> SpanContext | None:
    """The span that a request with *fields*, their names in small letters, is sent in; `None` where it names none."""
    parents, states = list[bytes](), list[bytes]()
    for name, value in fields:
        if name == b"traceparent":
            parents.append(value)
        elif name == b"tracestate":
            states.append(value)
    found = _PARENT.fullmatch(parents[0].strip(b" \t")) if len(parents) == 1 else None
    if found is None or (found[1] == b"00" and found[5]):
        return None
    flags = TraceFlags(int(found[4], 16) & (TraceFlags.SAMPLED | TraceFlags.RANDOM_TRACE_ID))
    return SpanContext(int(found[2], 16), int(found[3], 16), True, flags, _state(b",".join(states)))  # noqa: FBT003 - it is remote


def write(context: SpanContext) -> dict[str, str]:
    """The headers of a request that is sent in the span of *context*; none where it is no span."""
    if not context.is_valid:
        return {}
    parent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    state = {"tracestate": context.trace_state.to_header()} if context.trace_state else {}
    return {"traceparent": parent, **state}


def _state(field: bytes) -> TraceState | None:
    """The members of *field*; `None` where one is malformed or comes twice, or they are too many."""
    if not 0 < len(field) <= MAX_STATE:
        return None
    members = [_MEMBER.fullmatch(one) for part in field.decode("latin-1").split(",") if (one := part.strip(" \t"))]
    pairs = [(member[1], member[2]) for member in members if member]
    if len(pairs) < len(members) or len({*pairs}) > _MOST_MEMBERS or len(dict(pairs)) < len(pairs):
        return None
    return TraceState(pairs)
