"""Every key of a table ``[endpoints.NAME]``, declared once: one receiver of webhooks (R20)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from collator.settings.option import COUNT, DURATION, FILE, GLOB, URL, Option, Table


@dataclass(frozen=True, kw_only=True)
class EndpointSettings(Table):
    """One receiver, as the file has it. `None`: what the setting says that the key's `Option.instead` names."""

    name: str
    """What deliveries know it by."""
    url: Annotated[
        str,
        Option(URL, "Address that it is sent to.", "No default: only you know where it is."),
    ]
    match: Annotated[
        str,
        Option(
            GLOB,
            "Which resources it gets, by their ids: a shell pattern of *, ? and [a-z], case-sensitive.",
            "It gets them all.",
        ),
    ] = "*"
    secret_file: Annotated[
        Path | None,
        Option(
            FILE,
            "Secrets that sign for it, one whsec_… a line, the current one first.",
            "It shares those of the service.",
            instead="webhook_secret_file",
        ),
    ] = None
    concurrency: Annotated[
        int | None,
        Option(COUNT, "Requests to it under way at a time.", "As any other.", instead="delivery_concurrency"),
    ] = None
    timeout: Annotated[
        float | None,
        Option(
            DURATION,
            "Longest time of one request, from connecting to the last byte of the answer.",
            "As any other.",
            instead="delivery_timeout",
        ),
    ] = None
    tls_ca_file: Annotated[
        Path | None,
        Option(
            FILE,
            "Certificates (PEM) that are trusted beside those of the system.",
            "As any other.",
            instead="tls_ca_file",
        ),
    ] = None
    tls_client_cert: Annotated[
        Path | None,
        Option(
            FILE,
            "Certificate (PEM) that is shown to it where it asks for one.",
            "As any other.",
            instead="tls_client_cert",
        ),
    ] = None
    tls_client_key: Annotated[
        Path | None,
        Option(
            FILE,
            "Key of tls_client_cert, unencrypted, where that file does not hold it.",
            "As any other.",
            instead="tls_client_key",
        ),
    ] = None
