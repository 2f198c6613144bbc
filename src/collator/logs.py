"""Logs: one line for each event, `key=value` in a file or pipe, coloured in a terminal. No payload and no secret.

What libraries say through `logging`, and what Python warns of, becomes an event too. Characters that a terminal would
obey, or that would end a line, are written as escapes, since ids and reasons may hold what somebody sent.
"""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog

_PLAIN = structlog.processors.LogfmtRenderer(key_order=["event"], bool_as_flag=False)
_LINE = structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], bool_as_flag=False)


def configure() -> None:
    """Send the events of this process to standard error."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            printable,
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
            if sys.stderr.isatty()
            else _LINE,
        ],
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", _Stderr())),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_ToEvents()], level=logging.WARNING)
    logging.captureWarnings(capture=True)


def lend() -> None:
    """Leave the events of this process to the `logging` of the program, unless that has a use for structlog itself."""
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, structlog.processors.format_exc_info, printable, _PLAIN],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def printable(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """*event* with escapes for what cannot be printed; line breaks are left to the renderer."""
    return {name: _escaped(value) if isinstance(value, str) else value for name, value in event.items()}


def _escaped(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


class _Stderr(io.TextIOBase):
    """Standard error, which may be a file on a full disk or a pipe that nobody reads: that costs the line alone."""

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):  # the latter: it is closed
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.flush()


class _ToEvents(logging.Handler):
    """What others log, as events of Collator's."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger(record.name)
        log.log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info)
