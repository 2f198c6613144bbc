"""What is different for a client that speaks HTTP/1.0."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


def end_by_closing(cycle: RequestResponseCycle) -> None:
    """Let the end of the connection end an answer without a length: HTTP/1.0 knows no chunks (RFC 9112, 6.1)."""
    send = cycle.send

    async def send_plain(message: Any) -> None:  # noqa: ANN401 - an event of ASGI, which uvicorn gives no public name
        cycle.expected_content_length = len(message.get("body", b""))  # uvicorn counts down, and stops at none
        await send(message)

    cycle.chunked_encoding = False
    cycle.send = send_plain  # type: ignore[method-assign]  # uvicorn makes the cycle, and offers no other place
