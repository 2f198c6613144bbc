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
        metadata={DECLARATION: Option(URL, "URL that webhooks are sent to.", "No default: every endpoint has its own.")}
    )
    match: str = setting(
        "*",
        GLOB,
        "Pattern for the ids of the resources that it gets: *, ? and [a-z] as in a shell, case-sensitive.",
        "It gets all resources.",
    )
    secret_file: Path | None = setting(
        None,
        FILE,
        "File with the secrets that sign its webhooks, one whsec_… per line, the current one first.",
        "It shares the secrets of the service.",
        instead="webhook_secret_file",
    )
    concurrency: int | None = setting(
        None,
        COUNT,
        "Maximum number of webhooks that are sent to it at a time.",
        "The same as for all endpoints.",
        instead="delivery_concurrency",
    )
    timeout: float | None = setting(
        None,
        DURATION,
        "Timeout for sending one webhook, from connecting to the last byte of the answer.",
        "The same as for all endpoints.",
        instead="delivery_timeout",
    )
    tls_ca_file: Path | None = setting(
        None,
        FILE,
        "File with certificates (PEM) of authorities that are trusted in addition to those of the system.",
        "The same as for all endpoints.",
        instead="tls_ca_file",
    )
    tls_client_cert: Path | None = setting(
        None,
        FILE,
        "Client certificate (PEM) for a receiver that requires one.",
        "The same as for all endpoints.",
        instead="tls_client_cert",
    )
    tls_client_key: Path | None = setting(
        None,
        FILE,
        "Unencrypted private key of tls_client_cert, if that file does not contain it.",
        "The same as for all endpoints.",
        instead="tls_client_key",
    )


@dataclass(frozen=True, kw_only=True)
class DeliverySettings(Table):
    """A part of `Settings`."""

    webhook: str | None = setting(
        None,
        WEBHOOK,
        "URL that finished resources are sent to; none: results are only read through the API.",
        "No default: a service that delivers nothing by mistake would look healthy.",
    )
    webhook_secret_file: Path | None = setting(
        None,
        FILE,
        "File with the secrets that sign webhooks, one whsec_… per line, the current one first; "
        "DATA_DIR/webhook.secret by default.",
        "The default file is created at the first start, so that no webhook is sent unsigned.",
    )
    endpoints: tuple[EndpointSettings, ...] = field(
        default=(),
        metadata={
            DECLARATION: Tables(
                EndpointSettings,
                "Further receivers of webhooks, each for all or some of the resources.",
                "Most services have one receiver.",
            )
        },
    )
    delivery_timeout: float = setting(
        15.0,
        DURATION,
        "Timeout for sending one webhook, from connecting to the last byte of the answer.",
        "Standard Webhooks advises 15 to 30 s.",
    )
    delivery_concurrency: int = setting(
        64,
        COUNT,
        "Maximum number of webhooks that are sent to one endpoint at a time.",
        "Hides the latency without overloading the receiver.",
    )
    breaker_failures: int = setting(
        4,
        COUNT,
        "Number of webhooks in a row that fail with 5xx, a timeout or no connection, before the breaker opens.",
        "More than a coincidence; and a webhook that is alone is then a probe before it has to wait for 5 minutes.",
    )
    breaker_pause: float = setting(
        60.0,
        DURATION,
        "Maximum pause before one webhook probes the receiver; the first pause is 1s, and each one doubles.",
        "A receiver that works again waits no longer than this.",
    )
    egress_allow: tuple[Network, ...] = setting(
        (),
        NETWORKS,
        "Networks to which webhooks and processor requests may always be sent, even if they would be denied.",
        "All addresses are allowed, private ones too, except link-local, metadata and multicast ones.",
    )
    egress_deny: tuple[Network, ...] = setting(
        (),
        NETWORKS,
        "Networks to which nothing may be sent; 0.0.0.0/0,::/0 denies all but egress_allow.",
        "Receivers are usually internal, and their addresses come from the operator.",
    )
    tls_ca_file: Path | None = setting(
        None,
        FILE,
        "File with certificates (PEM) of authorities that are trusted in addition to those of the system.",
        "Needed for a private authority; SSL_CERT_FILE replaces the list of the system.",
    )
    tls_client_cert: Path | None = setting(
        None, FILE, "Client certificate (PEM) for receivers and HTTP processors that require one.", "Few of them do."
    )
    tls_client_key: Path | None = setting(
        None,
        FILE,
        "Unencrypted private key of tls_client_cert, if that file does not contain it.",
        "One file can contain both.",
    )
