"""Just enough of HTTP/1.1 for peers that are known: both ends of it give a length to every body."""

from __future__ import annotations

_LENGTH = b"content-length:"


def size(data: bytes | bytearray) -> int | None:
    """Bytes of the message that *data* begins with, head and body; `None` while its head has not come whole.

    Raises `ValueError` where it says no length.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = data[:end].lower()
    start = head.find(_LENGTH)
    if start < 0:
        raise ValueError("a message without content-length")
    return end + 4 + int(head[start + len(_LENGTH) :].partition(b"\r")[0])


def status(data: bytes | bytearray) -> int:
    """The status of the answer that *data* begins with."""
    return int(data[9:12])
