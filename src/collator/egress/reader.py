"""The reader of an answer, whatever the pieces that it comes in. Pure: bytes in, a verdict out (R22).

Theory. A receiver is not trusted: it may be slow, endless, compressed, broken. Of the body at most 64 KiB are read,
undecoded, or as much as the caller wants to keep; interim answers are skipped, up to a number. A complete final head
decides, whatever bytes follow it: a body that is too long, too short, broken or not allowed is dropped, and the
connection with it. A body that did not end makes a failure only for a caller that wants to keep it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

import httptools
from msgspec.structs import replace

from collator.egress.answer import READ, Answer, NoAnswer, excerpt
from collator.egress.head import MAX_HEAD, Framing, Head, NotHttp, parse
from collator.text import one_line

MAX_ANSWER = 64 * 1024
"""Bytes of an answer's body that are read before the connection is closed (R22)."""
MAX_INTERIM = 20
"""Interim answers (1xx) before the final one; Go's client takes 5."""

_BEGIN = b"HTTP/1."
_END = re.compile(rb"\n\r?\n")
_SUCCESS = range(200, 300)
_LEAST_FINAL, _SWITCHING = 200, 101
_CHUNK_COST = 8
"""At most so many bytes travel for one that is kept: a chunk of one byte takes 6."""


class AnswerReader:
    """Reads one answer."""

    def __init__(self, keep: int = 0) -> None:
        """Keep the body where it has at most *keep* bytes."""
        self.keep = keep
        """Bytes of the body that are wanted."""
        self.begun = False
        """A byte of the answer has come."""
        self.head: Head | None = None
        """The final head, once it is whole."""
        self.over = False
        """Nothing more is wanted: the body has ended, or is longer than anybody wants, or cannot be read."""
        self.reusable = False
        """The connection stands where another answer would begin."""
        self._block = b""
        self._interim = 0
        self._before = 0  # bytes of interim heads
        self._parts: list[bytes] = []
        self._travelled = 0
        self._size = 0
        self._ended = False
        self._too_long = False
        self._chunks: _Chunks | None = None

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises `NotHttp` where they cannot be the head of an answer."""
        self.begun = True
        if self.head is None:
            data = self._read_heads(data)
        if self.head is not None and not self.over:
            self._read_body(self.head, data)
        elif data:
            self.reusable = False

    def end(self) -> None:
        """The connection was closed in good order behind what was fed."""
        if self.head is not None and not self.over:
            self.over = True
            self._ended = self.head.framing is Framing.CLOSE

    @property
    def idle(self) -> float:
        """Seconds that the connection may stand idle before another exchange; 0 where none may follow."""
        return self.head.idle if self.reusable and self.head is not None else 0.0

    @property
    def succeeds(self) -> bool:
        """Whether the head is complete and its status is a success."""
        return self.head is not None and self.head.status in _SUCCESS

    def answer(self, *, sent: bool) -> Answer | NoAnswer:
        """The result of the head and all that was fed; *sent*: the last byte of the request was."""
        head = self.head
        if head is None:
            return NoAnswer("connection closed before the answer", broken=True)
        if self.succeeds and not sent:
            return NoAnswer(f"HTTP {head.status} before the whole body was sent")
        complete = self._ended or self._too_long
        answer = Answer(head.status, complete=complete) if self.succeeds else self._failure(head, complete=complete)
        if not self.keep:
            return answer
        received = b"".join(self._parts)
        return replace(
            answer,
            body=received if self._ended and self._size <= self.keep else None,
            beginning=received[:READ],
            media=head.text(b"content-type"),
            coding=head.text(b"content-encoding"),
        )

    def late(self, timeout: float, *, sent: bool) -> Answer | NoAnswer:
        """The result after *timeout* seconds, where the answer is incomplete."""
        if self.head is None:
            return NoAnswer(f"timed out after {timeout:g} s" + ("" if sent else ", while sending the body"))
        if self.succeeds and sent:
            reason = f"HTTP {self.head.status}, but the body of the answer did not end within {timeout:g} s"
            return NoAnswer(reason, media=self.head.text(b"content-type"))
        return self.answer(sent=sent)

    def _failure(self, head: Head, *, complete: bool) -> Answer:
        received, media, coding = b"".join(self._parts), head.text(b"content-type"), head.text(b"content-encoding")
        return Answer(
            head.status,
            head.text(b"retry-after") or None,
            location=one_line(head.text(b"location"), MAX_HEAD),
            excerpt="" if coding else excerpt(received, media),
            beginning=received[:READ],
            size=self._size,
            media=media,
            coding=coding,
            complete=complete,
        )

    def _read_heads(self, data: bytes) -> bytes:
        """Read up to the end of the final head; what is behind it."""
        begin = max(0, len(self._block) - 2)
        block = self._block + data
        if block[:1] in (b"\r", b"\n"):
            self._before += len(block) - len(block := block.lstrip(b"\r\n"))
        while (found := _END.search(block, begin)) is not None:
            begin = found.end()
            self._check(begin)
            head = parse(block[: found.start()])
            if head.status >= _LEAST_FINAL or head.status == _SWITCHING:
                self.head, self._block = head, b""
                return block[begin:]
            self._interim += 1
            self._before += begin
            if self._interim > MAX_INTERIM:
                raise NotHttp(f"more than {MAX_INTERIM} interim answers without a final one")
            block, begin = block[begin:], 0
        self._check(len(block))
        if not _BEGIN.startswith(block[: len(_BEGIN)]):
            raise NotHttp("the answer is not HTTP")
        self._block = block
        return b""

    def _check(self, length: int) -> None:
        if self._before + length > MAX_HEAD:
            raise NotHttp(f"the headers of the answer are larger than {MAX_HEAD // 1024} KiB")

    def _read_body(self, head: Head, data: bytes) -> None:
        self._travelled += len(data)
        if head.framing is Framing.CHUNKED:
            surplus = self._read_chunks(data)
        else:
            left = head.length - self._size if head.framing is Framing.LENGTH else len(data)
            self._take(data[:left])
            self._ended = head.framing is Framing.LENGTH and self._size == head.length
            surplus = len(data) > left
        if self._ended:
            self.over, self.reusable = True, head.reusable and not surplus
        elif head.framing is Framing.UNKNOWN and self.succeeds:
            self.over = True  # where more of it ends could not be known
        elif self._size > max(MAX_ANSWER, self.keep) or self._travelled > max(MAX_ANSWER, _CHUNK_COST * self.keep):
            self.over = self._too_long = True

    def _read_chunks(self, data: bytes) -> bool:
        """Read chunks; whether there are bytes behind the last one."""
        if self._chunks is None:
            self._chunks = _Chunks(self._take)
        self._ended, broken, surplus = self._chunks.feed(data)
        self.over = broken
        return surplus

    def _take(self, data: bytes) -> None:
        self._size += len(data)
        self._parts.append(data)


class WholeAnswer(NamedTuple):
    """An answer that came in one piece, to a request all of which was sent."""

    answer: Answer | NoAnswer
    idle: float
    """As `AnswerReader.idle`."""


@lru_cache(maxsize=32)
def read_whole(data: bytes) -> WholeAnswer | None:
    """The answer in *data*, whose body nobody wants; `None` where it is not whole, or cannot be read.

    A receiver says the same for a second at a time, so what is equal byte for byte is not read again: 6 of 7 µs.
    """
    reader = AnswerReader()
    try:
        reader.feed(data)
    except NotHttp:
        return None
    return WholeAnswer(reader.answer(sent=True), reader.idle) if reader.over else None


class _Chunks:
    """The chunked coding, read by httptools behind a head that says so."""

    def __init__(self, take: object) -> None:
        self.on_body = take
        self._begun = 0
        self._ended = False
        self._parser = httptools.HttpResponseParser(self)
        self._parser.feed_data(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")

    def on_message_begin(self) -> None:
        self._begun += 1

    def on_message_complete(self) -> None:
        self._ended = True

    def feed(self, data: bytes) -> tuple[bool, bool, bool]:
        """Read *data*: whether the last chunk has come, whether the coding is broken, whether bytes follow."""
        broken = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            broken = not self._ended
        return self._ended, broken, self._begun > 1
