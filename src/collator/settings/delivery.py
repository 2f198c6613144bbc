"""The settings of the way out: where webhooks go, what signs them, how they are sent (R20 to R23)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from collator.settings.endpoint import EndpointSettings
from collator.settings.option import COUNT, DURATION, FILE, NETWORKS, WEBHOOK, Option, Table, Tables
from collator.settings.values import Network


@dataclass(frozen=True, kw_only=True)
class DeliverySettings(Table):
    """A part of `Settings`."""

    webhook: Annotated[
        str | None,
        Option(
            WEBHOOK,
            "Address that finished resources are sent to; none: results are only pulled.",
            "No default: a service that delivers nowhere by mistake would look healthy.",
        ),
    ] = None
    webhook_secret_file: Annotated[
        Path | None,
        Option(
            FILE,
            "Secrets that sign webhooks, one whsec_… a line, the current one first; else DATA_DIR/webhook.secret.",
            "That file is made at the first start, so that nothing is ever sent unsigned.",
        ),
    ] = None
    endpoints: Annotated[
        tuple[EndpointSettings, ...],
        Tables(EndpointSettings, "Further receivers of webhooks, each with what it gets.", "One receiver is common."),
    ] = ()
    delivery_timeout: Annotated[
        float,
        Option(
            DURATION,
            "Longest time of one webhook, from connecting to the last byte of the answer.",
            "Standard Webhooks advises 15 to 30 s.",
        ),
    ] = 15.0
    delivery_concurrency: Annotated[
        int, Option(COUNT, "Webhooks under way at a time.", "Hides the latency and spares the receiver.")
    ] = 64
    breaker_failures: Annotated[
        int,
        Option(
            COUNT,
            "Webhooks in a row that fail without a sound answer (5xx, timeout, no connection) before a pause.",
            "More than chance, and less than a burden to who is down.",
        ),
    ] = 5
    breaker_pause: Annotated[
        float,
        Option(
            DURATION,
            "Longest pause before one webhook tries whether the receiver is back; the first is 1s, each next doubles.",
            "What a receiver that is back waits at most.",
        ),
    ] = 60.0
    egress_allow: Annotated[
        tuple[Network, ...],
        Option(
            NETWORKS,
            "Networks that webhooks and payloads for an HTTP processor may go to, whatever else denies them.",
            "All may be sent to but link-local, metadata and multicast addresses; loopback and private ones too.",
        ),
    ] = ()
    egress_deny: Annotated[
        tuple[Network, ...],
        Option(
            NETWORKS,
            "Networks that they may not go to; 0.0.0.0/0,::/0 for all but egress_allow.",
            "Receivers are mostly inside, and you name their addresses.",
        ),
    ] = ()
    tls_ca_file: Annotated[
        Path | None,
        Option(
            FILE,
            "Certificates (PEM) that are trusted beside those of the system, by webhooks and an HTTP processor.",
            "A private authority is known to you alone; SSL_CERT_FILE names another list.",
        ),
    ] = None
    tls_client_cert: Annotated[
        Path | None,
        Option(
            FILE,
            "Certificate (PEM) that is shown to receivers and an HTTP processor that ask for one.",
            "Few ask.",
        ),
    ] = None
    tls_client_key: Annotated[
        Path | None,
        Option(FILE, "Key of tls_client_cert, unencrypted, where that file does not hold it.", "One can hold both."),
    ] = None
