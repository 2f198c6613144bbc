"""The body of the webhook, from what a resource holds at its end. Pure; rules R17 to R19.

A body is ``head + outputs + tail``. Head and tail are made here once, at closing, and frozen in the store; the outputs
of a resource that has ended never change. So every attempt sends the same bytes, and no output is stored twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from collator.messages import LARGE_BODY, PacketReport
from collator.rules.resource import Ranges
from collator.states import EndedBy, State

MAX_FAILED = 10_000
"""Failures that a body tells with their reasons, the first ones; of the others it tells the indexes. A million reasons
would be hundreds of megabytes."""

_encode = msgspec.json.Encoder().encode


class Closing(msgspec.Struct, frozen=True, kw_only=True):
    """A resource at the moment it ends."""

    resource_id: str
    state: State
    """`COLLATED` or `INCOMPLETE`."""
    ended_by: EndedBy
    timestamp: str
    """The closing time, RFC 3339 in UTC."""
    total: int | None
    metadata: bytes | None
    """A JSON object, or `None` for an empty one."""
    supersedes: str | None = None
    """The webhook id of the generation before, where it was opened again (R16)."""
    missing: Ranges = ()
    unfinished: Ranges = ()
    failed: Sequence[PacketReport] = ()
    failed_more: Ranges = ()
    """Where further packets have failed, behind `MAX_FAILED` of them."""


def frame(closing: Closing) -> tuple[bytes, bytes]:
    """The head and the tail of the body: JSON, up to and from behind the outputs."""
    whole = closing.state is State.COLLATED
    head = (
        b'{"type":"resource.%b","timestamp":"%b","data":{"resource_id":%b,"completed_by":"%b","total":%b,"metadata":%b,%b%b'
        % (
            closing.state.encode(),
            closing.timestamp.encode(),
            _encode(closing.resource_id),
            closing.ended_by.encode(),
            b"null" if closing.total is None else b"%d" % closing.total,
            closing.metadata or b"{}",
            b'"supersedes":%b,' % _encode(closing.supersedes) if closing.supersedes else b"",
            b'"outputs":[' if whole else b'"partial":[',
        )
    )
    if whole:
        return head, b"]}}"
    tail = b'],"missing":%s,"unfinished":%s,"failed":%s%s}}' % (
        _encode(closing.missing),
        _encode(closing.unfinished),
        _encode(closing.failed),
        b',"failed_more":%s' % _encode(closing.failed_more) if closing.failed_more else b"",
    )
    return head, tail


def body(state: State, head: bytes, outputs: Iterable[tuple[int, bytes]], tail: bytes) -> bytes:
    """The whole body. *outputs* are (index, JSON) in index order, all of them for a collated resource."""
    if state is State.COLLATED:
        parts = [output for _, output in outputs]
    else:
        parts = [output.join(around(state, index)) for index, output in outputs]
    return head + b",".join(parts) + tail


def around(state: State, index: int) -> tuple[bytes, bytes]:
    """The bytes before and behind the output of *index*, without the comma between two of them."""
    return (b"", b"") if state is State.COLLATED else (b'{"index":%d,"output":' % index, b"}")


def extent(state: State, *, done: int, size: int, frame: int) -> int:
    """Return the bytes of a body at most: *done* outputs of *size* bytes with separators, and those of its *frame*."""
    return size + frame + done * sum(map(len, around(state, 2**24)))


def is_large(whole: int) -> bool:
    """Return whether deliveries of a body of *whole* bytes are large."""
    return whole > LARGE_BODY
