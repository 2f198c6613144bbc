"""The limits of the HTTP listener. Seconds and bytes; each is a setting, so that a test can shorten it."""

from __future__ import annotations

import msgspec

KIB = 1024
MIB = 1024 * KIB


class HttpLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of the HTTP app, all of them: what is not bounded here is bounded in `resource.LedgerLimits`."""

    # The guard: one connection.

    head_seconds: float = 10.0
    """From the first moment of a connection, or the first byte of a later request, to the end of its head."""
    head_bytes: int = 32 * KIB
    """Request line and fields."""
    head_fields: int = 100
    body_seconds: float = 10.0
    """What a body may take beyond its size divided by `body_rate`. A stream has `stream_idle` instead."""
    body_rate: int = 16 * KIB
    """Bytes a second that a body has to come at, so that drops of one byte do not hold a connection for ever."""
    write_seconds: float = 30.0
    """How long a client may take nothing of an answer, or less than `write_rate` has it."""
    write_rate: int = 4 * KIB
    """Bytes a second that a client has to take of an answer that waits, so that sips do not hold it for ever."""
    linger_seconds: float = 2.0
    """After a refusal: what still comes is thrown away for this long, so that the client can read the answer."""
    stop_seconds: float = 0.5
    """While the service stops: how long a request that has begun may be silent before it is refused."""
    stop_patience: float = 2.0
    """While the service stops: what head and body may still take, beyond the size of the body by `body_rate`."""
    keep_alive_seconds: float = 75.0
    """Between requests. Longer than the pools of usual clients keep a connection, so that they close first."""
    max_connections: int = 900
    max_pipelined: int = 100
    """Requests on one connection that wait for the answer to an earlier one."""
    max_queued: int = 16 * MIB
    """Their bodies, on all connections together."""

    max_requests: int = 500
    """Requests under way, streams and waits aside; what tells how the service is goes beyond."""
    max_waits: int = 200
    """Requests that wait for news of a resource."""

    # Bodies that are read whole.

    max_body: int = 16 * MIB
    """An array. It is decoded in one go; for more there are streams, which have no limit of size."""
    max_buffered: int = 64 * MIB
    """All bodies until they are answered, what is decoded of them, and all answers until they are read, together."""

    # Streams.

    stream_idle: float = 60.0
    """A stream that is silent for this long is committed, summed up and closed."""
    max_streams: int = 100
    ping_seconds: float = 20.0
    """Without anything on a WebSocket: then its client is pinged, and given up where it stays silent as long again."""
    group_bytes: int = 64 * KIB
    """What is read at once is offered in groups of this size: processing keeps up with many small groups, and falls
    behind a few large ones, which costs a tenth of the processor time of a packet."""
    max_groups: int = 3
    """Groups of one stream that may be on their way to the disk: enough to keep it busy."""
    max_group_bytes: int = 2 * MIB
    """Their bytes together; a single group may be larger."""
    max_unread: int = 1 * MIB
    """Bytes of receipts (`?receipts=all`) that wait for the client to read them."""
    max_rejected: int = 1_000
    """Rejected lines that a summary lists; it counts them all."""
    max_rejected_bytes: int = 256 * KIB
    """Their bytes together: a line beyond them is not listed."""
