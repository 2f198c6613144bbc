"""Logs: one line for each event: `key=value`, coloured in a terminal, or a JSON object. No payload and no secret.

What libraries say through `logging`, and what Python warns of, becomes an event too. Characters that a terminal would
obey, or that would end a line, are written as escapes, since ids and reasons may hold what somebody sent.

Nothing waits for their reader: they leave by a queue (`collator.queued_output`), and so does whatever else this process
prints.
"""

from __future__ import annotations

import atexit
import io
import json
import logging
import sys
import time
from collections.abc import Callable, MutableMapping
from functools import partial
from typing import Any, BinaryIO, TextIO, cast

import structlog
from structlog.typing import Processor

from collator.queued_output import QueuedOutput
from collator.text import escaped, shorten

MOST, MOST_TRACE = 1000, 16_000
"""Characters of one value of an event, and of a traceback: of what is longer the middle is left out."""
FLUSH = 0.5
"""Seconds that the end of the process waits for the reader of its log."""

_PLAIN = structlog.processors.LogfmtRenderer(key_order=["event"], bool_as_flag=False)
_FIRST = ("timestamp", "level", "event")
_LINE = structlog.processors.LogfmtRenderer(key_order=_FIRST, bool_as_flag=False)
_STAMP = structlog.processors.TimeStamper(fmt="iso", utc=True)


def _json(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    """*event* as an object in one line."""
    return json.dumps({**{name: event[name] for name in _FIRST}, **event}, ensure_ascii=False)


def configure(log_format: str = "text", *, level: str = "info") -> None:
    """Send events from *level* on to standard error, as *log_format* (``text``, ``json``), and queue both outputs."""
    render: Processor = _LINE if log_format == "text" else _json
    notice = partial(_notice, render)
    if log_format == "text" and sys.stderr.isatty():
        render = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    sys.stdout, sys.stderr = _queued(sys.stdout, notice), _queued(sys.stderr, notice)
    # What a program goes back to that has redirected what it prints, which it may do at any time.
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr  # type: ignore[misc,assignment]
    add_level, add_trace = structlog.processors.add_log_level, structlog.processors.format_exc_info
    structlog.configure(
        processors=[add_level, _STAMP, add_trace, printable, render],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_ToEvents()], level=logging.WARNING)
    logging.captureWarnings(capture=True)
    atexit.register(flush)


def flush(timeout: float = FLUSH) -> None:
    """Wait until what was printed is written out, *timeout* seconds at most."""
    end = time.monotonic() + timeout
    for output in _outputs():
        output.drain(max(0.0, end - time.monotonic()))


def lost_lines() -> int:
    """The number of lines that were lost, as they could not be written in time."""
    return sum(output.lost for output in _outputs())


def configure_for_library() -> None:
    """Leave the events of this process to the `logging` of the program, unless that has a use for structlog itself."""
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, structlog.processors.format_exc_info, printable, _PLAIN],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def printable(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """*event* with escapes for what cannot be printed, and cut; line breaks are left to the renderer."""
    return {name: _bounded(name, value) for name, value in event.items()}


def _bounded(name: str, value: object) -> object:
    if value is None or isinstance(value, int | float):
        return value
    most = MOST_TRACE if name == "exception" else MOST
    text = shorten(str(value), most)
    if text.isprintable():
        return text
    return shorten("\n".join([escaped(line) for line in text.split("\n")]), most)


def _queued(stream: TextIO, notice: Callable[[int], str]) -> TextIO:
    """*stream*, written to by way of a queue, with a *notice* where lines were lost."""
    raw = QueuedOutput(stream.fileno(), notice)
    # A raw file is all that a text needs that is never read; the standard library does the same for python -u.
    return io.TextIOWrapper(cast("BinaryIO", raw), stream.encoding, "backslashreplace", line_buffering=True)


def _outputs() -> list[QueuedOutput]:
    streams = (getattr(stream, "buffer", None) for stream in (sys.__stdout__, sys.__stderr__))
    return [raw for raw in streams if isinstance(raw, QueuedOutput)]


def _notice(render: Processor, lines: int) -> str:
    event = {"level": "warning", "event": "log lines were lost because the output was blocked", "lines": lines}
    return f"{render(None, '', _STAMP(None, '', event))!s}\n"


class _ToEvents(logging.Handler):
    """A handler that turns log records of libraries into events of Collator."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger(record.name)
        log.log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info)
