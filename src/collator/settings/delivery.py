"""The settings of the way out: where webhooks go, what signs them, how they are sent (R20 to R23)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from collator.settings.option import (
    COUNT,
    DECLARATION,
    DURATION,
    FILE,
    GLOB,
    NETWORKS,
    URL,
    WEBHOOK,
    Option,
    Table,
    Tables,
    setting,
)
from collator.settings.values import Network


@dataclass(frozen=True, kw_only=True)
class EndpointSettings(Table):
    """One receiver of webhooks, a table ``[endpoints.NAME]`` of the file (R20).

    `None`: what the setting says that the key's `Option.instead` names.
    """

    name: str
    """What deliveries know it by."""
    url: str = field(
        metadata={DECLARATION: Option(URL, "Address that it is sent to.", "No default: only you know where it is.")}
    )
    match: str = setting(
        "*",
        GLOB,
        "Which resources it gets, by their ids: a shell pattern of *, ? and [a-z], case-sensitive.",
        "It gets them all.",
    )
    secret_file: Path | None = setting(
        None,
        FILE,
        "Secrets that sign for it, one whsec_… a line, the current one first.",
        "It shares those of the service.",
        instead="webhook_secret_file",
    )
    concurrency: int | None = setting(
        None, COUNT, "Requests to it under way at a time.", "As any other.", instead="delivery_concurrency"
    )
    timeout: float | None = setting(
        None,
        DURATION,
        "Longest time of one request, from connecting to the last byte of the answer.",
        "As any other.",
        instead="delivery_timeout",
    )
    tls_ca_file: Path | None = setting(
        None,
        FILE,
        "Certificates (PEM) that are trusted beside those of the system.",
        "As any other.",
        instead="tls_ca_file",
    )
    tls_client_cert: Path | None = setting(
        None,
        FILE,
        "Certificate (PEM) that is shown to it where it asks for one.",
        "As any other.",
        instead="tls_client_cert",
    )
    tls_client_key: Path | None = setting(
        None,
        FILE,
        "Key of tls_client_cert, unencrypted, where that file does not hold it.",
        "As any other.",
        instead="tls_client_key",
    )


@dataclass(frozen=True, kw_only=True)
class DeliverySettings(Table):
    """A part of `Settings`."""

    webhook: str | None = setting(
        None,
        WEBHOOK,
        "Address that finished resources are sent to; none: results are only pulled.",
        "No default: a service that delivers nowhere by mistake would look healthy.",
    )
    webhook_secret_file: Path | None = setting(
        None,
        FILE,
        "Secrets that sign webhooks, one whsec_… a line, the current one first; else DATA_DIR/webhook.secret.",
        "That file is made at the first start, so that nothing is ever sent unsigned.",
    )
    endpoints: tuple[EndpointSettings, ...] = field(
        default=(),
        metadata={
            DECLARATION: Tables(
                EndpointSettings, "Further receivers of webhooks, each with what it gets.", "One receiver is common."
            )
        },
    )
    delivery_timeout: float = setting(
        15.0,
        DURATION,
        "Longest time of one webhook, from connecting to the last byte of the answer.",
        "Standard Webhooks advises 15 to 30 s.",
    )
    delivery_concurrency: int = setting(
        64, COUNT, "Webhooks under way at a time.", "Hides the latency and spares the receiver."
    )
    breaker_failures: int = setting(
        5,
        COUNT,
        "Webhooks in a row that fail without a sound answer (5xx, timeout, no connection) before a pause.",
        "More than chance, and less than a burden to who is down.",
    )
    breaker_pause: float = setting(
        60.0,
        DURATION,
        "Longest pause before one webhook tries whether the receiver is back; the first is 1s, each next doubles.",
        "What a receiver that is back waits at most.",
    )
    egress_allow: tuple[Network, ...] = setting(
        (),
        NETWORKS,
        "Networks that webhooks and payloads for an HTTP processor may go to, whatever else denies them.",
        "All may be sent to but link-local, metadata and multicast addresses; loopback and private ones too.",
    )
    egress_deny: tuple[Network, ...] = setting(
        (),
        NETWORKS,
        "Networks that they may not go to; 0.0.0.0/0,::/0 for all but egress_allow.",
        "Receivers are mostly inside, and you name their addresses.",
    )
    tls_ca_file: Path | None = setting(
        None,
        FILE,
        "Certificates (PEM) that are trusted beside those of the system, by webhooks and an HTTP processor.",
        "A private authority is known to you alone; SSL_CERT_FILE names another list.",
    )
    tls_client_cert: Path | None = setting(
        None, FILE, "Certificate (PEM) that is shown to receivers and an HTTP processor that ask for one.", "Few ask."
    )
    tls_client_key: Path | None = setting(
        None, FILE, "Key of tls_client_cert, unencrypted, where that file does not hold it.", "One can hold both."
    )
