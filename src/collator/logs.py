"""Logs: one line for each event, `key=value` in a file or pipe, coloured in a terminal. No payload and no secret."""

from __future__ import annotations

import sys

import structlog

_PLAIN = structlog.processors.LogfmtRenderer(key_order=["event"], bool_as_flag=False)


def configure() -> None:
    """Send the events of this process to standard error."""
    terminal = sys.stderr.isatty()
    renderer = (
        structlog.dev.ConsoleRenderer()
        if terminal
        else structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"], bool_as_flag=False)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def lend() -> None:
    """Leave the events of this process to the `logging` of the program, unless that has a use for structlog itself."""
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, structlog.processors.format_exc_info, _PLAIN],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
