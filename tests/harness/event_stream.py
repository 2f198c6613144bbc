"""Server-sent events, read as the HTML standard says (9.2.6)."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from typing import Any, NamedTuple

_LINE = re.compile(r"(.*?)(?:\r\n|\n|\r(?!\n|$))", re.DOTALL)


class Event(NamedTuple):
    kind: str
    data: Any
    id: str
    """That of the last event that had one."""


class EventReader:
    """The reader of one stream, which is given as it comes."""

    def __init__(self) -> None:
        self.last_id = ""
        self.comments: list[str] = []
        self.retry: int | None = None
        self._rest = ""
        self._bytes = b""
        self._kind, self._data = "", list[str]()

    def feed(self, data: bytes) -> Iterator[Event]:
        """Give the events that *data* completes."""
        self._bytes += data
        text = self._bytes.decode(errors="ignore")  # a character may be cut
        self._bytes = self._bytes[len(text.encode()) :]
        self._rest += text
        while line := _LINE.match(self._rest):
            self._rest = self._rest[line.end() :]
            yield from self._line(line[1])

    def _line(self, line: str) -> Iterator[Event]:
        if not line:
            if self._data:
                yield Event(self._kind or "message", json.loads("\n".join(self._data)), self.last_id)
            self._kind, self._data = "", []
            return
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "":
                self.comments.append(value)
            case "event":
                self._kind = value
            case "data":
                self._data.append(value)
            case "id":
                self.last_id = value
            case "retry":
                self.retry = int(value)


async def events_of(chunks: AsyncIterable[bytes]) -> AsyncIterator[Event]:
    """The events of *chunks*, as they come."""
    reader = EventReader()
    async for chunk in chunks:
        for event in reader.feed(chunk):
            yield event
