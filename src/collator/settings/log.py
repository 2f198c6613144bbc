"""The settings of the log, and of traces."""

from __future__ import annotations

from dataclasses import dataclass

from collator.settings.option import SWITCH, Table, ValueType, setting
from collator.settings.values import choice


@dataclass(frozen=True, kw_only=True)
class LogSettings(Table):
    """A part of `Settings`."""

    log_format: str = setting(
        "text",
        ValueType("text|json", choice("text", "json")),
        "How the log writes an event: text, as key=value and with colours on a terminal, or json, an object a line.",
        "People read it.",
    )
    log_level: str = setting(
        "info",
        ValueType("info|warning|error", choice("info", "warning", "error")),
        "The least level of events that are logged; info has all.",
        "What began and ended is part of the story.",
    )
    access_log: bool = setting(
        False,
        SWITCH,
        "Log each request with its path, status, bytes, seconds, address and the name of its token. It takes some of "
        "the rate of single packets.",
        "Refused requests are logged, and the metrics count the others.",
    )
    tracing: bool = setting(
        False,
        SWITCH,
        "Make OpenTelemetry spans of packets, calls and webhooks, and export them as the OTEL_* variables say; needs "
        "collator[otel].",
        "It takes time for each packet, and something to send spans to.",
    )
