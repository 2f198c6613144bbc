"""The settings that `Collator` takes as keywords, for type checkers: those of `collator serve` (`collator.settings`).

A test compares these with the settings, so that neither has what the other has not.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Required, TypedDict

Seconds = float | str
"""A number of seconds, or as in a file: ``10m``."""
Bytes = int | str
"""A number of bytes, or as in a file: ``64 KiB``."""
Names = str | list[str] | tuple[str, ...]
"""Names, or one text with commas between them."""


class EndpointOptions(TypedDict, total=False):
    """A receiver of webhooks: what a table ``[endpoints.NAME]`` has."""

    url: Required[str]
    match: str
    secret_file: str | Path | None
    concurrency: int | None
    timeout: Seconds | None
    tls_ca_file: str | Path | None
    tls_client_cert: str | Path | None
    tls_client_key: str | Path | None


class CollatorOptions(TypedDict, total=False):
    """Settings; `None` is ``off``, or the default."""

    host: str
    port: int
    allow_host: Names
    allow_origin: Names
    ticket_secret_file: str | Path | None
    tokens_file: str | Path | None
    insecure: bool
    hide_payloads: bool
    ui: bool
    ui_payloads: bool
    max_request: Bytes
    max_buffered: Bytes
    max_requests: int
    max_connections: int
    max_streams: int
    max_waits: int
    stream_idle_timeout: Seconds
    log_format: Literal["text", "json"]
    log_level: Literal["info", "warning", "error"]
    access_log: bool
    tracing: bool
    webhook_secret_file: str | Path | None
    endpoints: Mapping[str, EndpointOptions]
    delivery_timeout: Seconds
    delivery_concurrency: int
    breaker_failures: int
    breaker_pause: Seconds
    egress_allow: Names
    egress_deny: Names
    tls_ca_file: str | Path | None
    tls_client_cert: str | Path | None
    tls_client_key: str | Path | None
    workers: Literal["local", "celery"]
    broker: str | None
    pool: Literal["thread", "process"]
    pool_memory: Bytes | None
    concurrency: int
    hedge: str | None
    processor_request: str | None
    processor_output: str | None
    processor_headers_file: str | Path | None
    processor_method: Literal["POST", "PUT", "PATCH"]
    processor_timeout: Seconds
    processor_retries: int
    processor_patience: Seconds
    processor_keep_alive: Seconds | None
    on_failure: Literal["incomplete", "fail_fast", "hold"]
    ledger: str
    ledger_password_file: str | Path | None
    ledger_durability: Literal["strict", "relaxed"]
    idle_timeout: Seconds | None
    deadline: Seconds | None
    retention: Seconds
    dead_retention: Seconds | None
    remember: Seconds | None
    clock_jump: Seconds | None
    accept_clock: bool
    drain_timeout: Seconds
    max_payload: Bytes
    max_output: Bytes
    max_body: Bytes
    max_packets: int
    max_open: int
    max_backlog: Bytes
    min_free_disk: Bytes
