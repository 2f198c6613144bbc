"""Endings of calls: every way in which a call may end, and who is to blame for it. Pure; rules R27, R28 and R29.

Each ending is one of four, by its *cause*:

- `OUTPUT`: 2xx with JSON or plain text. The packet is done.
- `PACKET`: the packet's fault: an exception, a timeout, an output that is none, HTTP 500, and whatever is not named
  here. It uses up an attempt. With `Permanent`, 400, 413, 415, 422 and every other 4xx the packet has failed at once.
- `SERVICE`: no connection, one that broke before the end of the answer, 408, 425, 429, 502, 503, 504, our own
  shortage. The packet goes back, and no attempt is used up.
- `CONFIGURATION`: 401, 403, 404, 405, a redirect, TLS that fails, an address that is not allowed.
  The same, with an error in the log.

What an ending says of the service is its *sign*, by which the workers decide how much they ask of it. The two are not
the same: a connection that broke may mean that the service is away, or that the packet has killed it; who counts can
tell, one ending alone cannot.

The output: ``application/json`` and ``…+json`` as it came, ``text/plain`` as a JSON string (the text ``42`` is not the
number), and without a content type what came is taken for JSON. A stream and any other type is no output; the reason
names the type. A stream shows in its type, or in how it begins, as many services name no type, or that of JSON.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from enum import StrEnum

import msgspec

from collator.backoff import MAX_RETRY_AFTER, parse_retry_after
from collator.egress import MOST_SAID, REDIRECTS, Answer, NoAnswer, words
from collator.errors import Permanent, ProcessorFailed
from collator.processor.outputs import OUTPUT, Unusable
from collator.text import one_line

OVERLOADED = frozenset({408, 425, 429, 502, 503, 504})
"""The statuses of a service that may answer in another way later, whatever the packet (RFC 9110, RFC 6585)."""
MISCONFIGURED = frozenset({401, 403, 404, 405})
"""The statuses of an address or of credentials that are wrong (R28)."""

SUCCESSES = range(200, 300)
_REDIRECT, _REFUSED = range(300, 400), range(400, 500)
_STREAMS = frozenset(
    {
        "text/event-stream",
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/x-jsonlines",
        "application/jsonlines",
        "application/json-seq",
    }
)
_JSON = re.compile(r"application/(?:[^ ;]+\+)?json|text/json|[^/]+/[^ ;]+\+json")
_SSE = re.compile(rb"(?:data|event|id|retry)?:")
"""The beginning of server-sent events, which is that of no JSON."""
_CHARSET = re.compile(r"charset=\"?([A-Za-z0-9._:-]+)", re.IGNORECASE)
_encode = msgspec.json.Encoder().encode
_check_grammar = msgspec.json.Decoder(msgspec.Raw).decode


class Cause(StrEnum):
    """Who is to blame for an ending."""

    OUTPUT = "output"
    PACKET = "packet"
    SERVICE = "service"
    CONFIGURATION = "configuration"


class Sign(StrEnum):
    """What an ending says of the service."""

    ANSWERED = "answered"  #: it took the call, whatever it said
    OVERLOADED = "overloaded"  #: it is there, and takes fewer calls
    AWAY = "away"  #: no connection
    BROKEN = "broken"  #: a connection that ended before the answer did
    MISCONFIGURED = "misconfigured"  #: it answers, and no packet gets through
    SHORTAGE = "shortage"  #: this process lacked something
    NOTHING = "nothing"  #: no answer in time
    UNSENT = "unsent"  #: it was not asked


class CallEnding(msgspec.Struct, frozen=True, gc=False):
    """How a call ended."""

    cause: Cause
    sign: Sign
    reason: str = ""
    """In words for a person; empty for an output."""
    output: bytes = b""
    """JSON, as far as the answer says that it is."""
    final: bool = False
    """Whether no further attempt can help; of a packet's fault."""
    after: float = 0.0
    """Seconds for which the service, or the user's code, asks to be left alone: a day at most."""
    status: int = 0
    """That of the answer, if there was one."""
    error: str = ""
    """Of an error of the user's code: its type and place, without its text."""
    trace: str = ""
    """Its traceback, likewise."""

    @property
    def kind(self) -> str:
        """The part that others of its cause share: no word of the user's code or of the service is in it."""
        if self.status and self.status not in SUCCESSES:
            return f"HTTP {self.status}"
        return self.error or self.reason

    @property
    def label(self) -> str:
        """The class of a failure: `collator.messages.Fault.label`."""
        if self.cause in {Cause.SERVICE, Cause.CONFIGURATION}:
            return self.cause.value
        if self.status and self.status not in SUCCESSES:
            return "answer"
        if self.sign is Sign.NOTHING:
            return "timeout"
        if self.reason.startswith(OUTPUT):
            return "output"
        return "exception" if self.final or self.kind != self.reason else "process"


def of_error(
    error: BaseException, reason: str, *, kind: str = "", trace: str = "", sign: Sign = Sign.ANSWERED
) -> CallEnding:
    """The ending of a call that raised *error*, which is *reason* in words: the packet's fault, whatever it was.

    *kind* and *trace* are what is told of an error of the user's code without its text.
    """
    final = isinstance(error, Permanent)
    return CallEnding(Cause.PACKET, sign, reason, final=final, after=_asked_for(error), error=kind, trace=trace)


def out_of_time(reason: str) -> CallEnding:
    """The ending of a call that was given up, for *reason*."""
    return CallEnding(Cause.PACKET, Sign.NOTHING, reason)


def of_answer(answer: Answer | NoAnswer, *, size: int, max_output: int, wall: float) -> CallEnding:
    """The ending of a request with a body of *size* bytes that got *answer* at *wall* (wall clock)."""
    if isinstance(answer, NoAnswer):
        return _of_no_answer(answer)
    status = answer.status
    if status in SUCCESSES:
        return _of_success(answer, max_output)
    reason = words(answer, size=size)
    said = one_line((answer.body or b"")[: 4 * MOST_SAID].decode("utf-8", "replace"), MOST_SAID)
    if said and not said.startswith("<") and not (status in REDIRECTS and answer.location):  # in words, not in a page
        reason += f": {said}"
    if status in OVERLOADED:
        after = parse_retry_after(answer.retry_after, wall) or 0.0
        return CallEnding(Cause.SERVICE, Sign.OVERLOADED, reason, after=after, status=status)
    if status in MISCONFIGURED or status in _REDIRECT:
        return CallEnding(Cause.CONFIGURATION, Sign.MISCONFIGURED, reason, status=status)
    after = parse_retry_after(answer.retry_after, wall) or 0.0
    return CallEnding(Cause.PACKET, Sign.ANSWERED, reason, final=status in _REFUSED, after=after, status=status)


def _of_no_answer(answer: NoAnswer) -> CallEnding:
    if answer.own_shortage:
        return CallEnding(Cause.SERVICE, Sign.SHORTAGE, answer.reason)
    if answer.settings:
        return CallEnding(Cause.CONFIGURATION, Sign.MISCONFIGURED, answer.reason)
    if not answer.reached:
        return CallEnding(Cause.SERVICE, Sign.AWAY, answer.reason)
    if answer.broken:
        return CallEnding(Cause.SERVICE, Sign.BROKEN, answer.reason)
    reason = f"{answer.reason}: {_streaming(media)}" if (media := _plain(answer.media)) in _STREAMS else answer.reason
    return CallEnding(Cause.PACKET, Sign.NOTHING, reason)


def _of_success(answer: Answer, max_output: int) -> CallEnding:
    status = answer.status
    if not answer.complete:
        reason = f"HTTP {status}, but the body of the answer is incomplete"
        return CallEnding(Cause.SERVICE, Sign.BROKEN, reason, status=status)
    try:
        output = _output(answer, max_output)
    except ProcessorFailed as error:
        return CallEnding(Cause.PACKET, Sign.ANSWERED, error.detail, status=status)
    return CallEnding(Cause.OUTPUT, Sign.ANSWERED, output=output, status=status)


def _output(answer: Answer, max_output: int) -> bytes:
    """Return the JSON of a success. Raises `ProcessorFailed` where it has none."""
    media = _plain(answer.media)
    if media in _STREAMS:
        raise Unusable(_streaming(media))
    if media and media != "text/plain" and not _JSON.fullmatch(media):
        raise Unusable(f"the answer is {one_line(media, MOST_SAID)}; application/json and text/plain can be used")
    if answer.body is None:
        raise Unusable(f"more than {max_output} bytes (max_output)")
    if (coding := one_line(answer.coding, MOST_SAID)).lower() not in {"", "identity"}:
        raise Unusable(f"the answer is compressed ({coding}); have the service heed Accept-Encoding: identity")
    body = answer.body.removeprefix(BOM_UTF8)
    if media == "text/plain":
        return _encode(_text(body, answer.media))
    output = body.strip(b" \t\r\n")
    if not output:
        raise Unusable("the answer is empty")
    if _SSE.match(output):
        raise Unusable(_streaming("server-sent events"))
    if _begins_with_line_of_json(output):
        raise Unusable(_streaming("lines of JSON"))
    return output


def _plain(media: str) -> str:
    """*media* without its parameters, in small letters."""
    return media.partition(";")[0].strip().lower()


def _streaming(what: str) -> str:
    return f'the service streams ({what}); have it answer at once, often by "stream": false'


def _begins_with_line_of_json(body: bytes) -> bool:
    """Return whether the first of several lines is a whole JSON value, behind which none goes on."""
    line, end, _ = body.partition(b"\n")
    if not end or not line.rstrip().endswith((b"}", b"]")):
        return False
    try:
        _check_grammar(line)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _text(body: bytes, media: str) -> str:
    charset = found[1] if (found := _CHARSET.search(media)) else "utf-8"
    try:
        return body.decode(charset)
    except (LookupError, ValueError):
        raise Unusable(f"the text is not valid {charset.upper()}") from None


def _asked_for(error: BaseException) -> float:
    """Seconds that *error* asks to be left alone, a day at most: no packet waits for ever, whatever the code says."""
    asked = getattr(error, "retry_after", None) if isinstance(error, ProcessorFailed) else None
    try:
        return max(0.0, min(float(asked or 0.0), MAX_RETRY_AFTER))
    except (TypeError, ValueError, OverflowError):
        return 0.0
