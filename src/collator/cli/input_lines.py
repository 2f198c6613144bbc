"""Lines of a file or a pipe, as they come."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import BinaryIO

from collator.errors import CollatorError
from collator.web.formats import BOM, name_for_lines

CHUNK = 256 * 1024
"""Bytes that are read at a time, at most."""
LONGEST = 64 * 1024 * 1024
"""Bytes of a line, at most: more than any service takes in one packet."""
_AHEAD = 4  # chunks


async def lines(source: BinaryIO) -> AsyncIterator[bytes]:
    """Every line of *source* without its line feed, as soon as it is there; blank ones too. Raises `CollatorError`.

    As at the service, a byte order mark at the start is passed over, and what is no lines of JSON is named.

    A thread reads, so that a quiet pipe holds up nobody; it is one that the end of the program does not wait for.
    """
    queue: asyncio.Queue[bytes | OSError] = asyncio.Queue(_AHEAD)
    loop = asyncio.get_running_loop()
    threading.Thread(target=_read, args=(source.fileno(), queue, loop), name="reader", daemon=True).start()
    rest, first = b"", True
    while chunk := await queue.get():
        if isinstance(chunk, OSError):
            raise CollatorError(f"{source.name} cannot be read: {chunk.strerror}")
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield _begin(line, source.name) if first else line
            first = False
        if len(rest) > LONGEST:
            raise CollatorError(f"{source.name}: a line is longer than {LONGEST >> 20} MiB; write one packet per line")
    if rest:
        yield _begin(rest, source.name) if first else rest


def _begin(line: bytes, name: str) -> bytes:
    """The first *line*, without a mark."""
    line = line.removeprefix(BOM)
    foreign = name_for_lines(line)
    if foreign:
        raise CollatorError(f"{name}: {foreign}")
    return line


def _read(descriptor: int, queue: asyncio.Queue[bytes | OSError], loop: asyncio.AbstractEventLoop) -> None:
    # RuntimeError: the event loop has ended, nobody wants the lines any more.
    with suppress(RuntimeError):
        chunk: bytes | OSError = b"more"
        while chunk and not isinstance(chunk, OSError):
            chunk = _chunk(descriptor)
            asyncio.run_coroutine_threadsafe(queue.put(chunk), loop).result()


def _chunk(descriptor: int) -> bytes | OSError:
    try:
        return os.read(descriptor, CHUNK)
    except OSError as error:
        return error
