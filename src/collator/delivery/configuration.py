"""The endpoints that the configuration names, made ready: their defaults looked up, their secrets read (R20, R21)."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path

from collator import target
from collator.delivery.endpoint import Endpoint
from collator.directory import make
from collator.egress import Policy, context
from collator.errors import ConfigError
from collator.settings import NO_WEBHOOK, EndpointSettings, Settings
from collator.signing import SecretFile, ensure_secret_file

DEFAULT = "default"
"""The name of the endpoint that the setting `webhook` is."""


def configure(settings: Settings) -> Mapping[str, Endpoint]:
    """The endpoints of *settings*, by name; none where it says that results are only pulled.

    The service's own secret file is made where an endpoint needs it and none is named. Raises `ConfigError` where no
    endpoint is named and nothing says that this is meant, where a secret file cannot be used, and where nothing may
    be sent to the address in a URL.
    """
    wanted = _wanted(settings)
    policy = policy_of(settings)
    for one in wanted:
        if refusal := policy.refusal(target.parse(one.url).host):
            option = f"endpoints.{one.name}.url" if one in settings.endpoints else "webhook"
            raise ConfigError(f"{option}: {refusal}")
    own = [one.secret_file for one in wanted if one.secret_file is not None]
    if len(own) < len(wanted) and settings.webhook_secret_file is None:
        make(settings.data_dir, option="--data-dir")
        ensure_secret_file(settings.secret_file)
    # One reader a file, so that a change of it is told once and not once for each endpoint.
    files = {path: SecretFile(path) for path in {*own, *([settings.secret_file] if len(own) < len(wanted) else [])}}
    return {one.name: _endpoint(one, settings, files) for one in wanted}


def names(settings: Settings) -> list[str]:
    """The endpoints of *settings*: what may be told of them, as a URL can hold a secret."""
    return [one.name for one in _wanted(settings)]


def secured(by: Settings | EndpointSettings, *, ca_file: Path | None) -> ssl.SSLContext | None:
    """The TLS context for the settings *by*, with the authorities in *ca_file*; `None` if it has none of its own.

    Raises `ConfigError`.
    """
    if by.tls_client_key is not None and by.tls_client_cert is None:
        raise ConfigError("tls_client_key: it needs tls_client_cert, which is not set")
    if ca_file is None and by.tls_client_cert is None:
        return None
    return context(ca_file, by.tls_client_cert, by.tls_client_key)


def policy_of(settings: Settings) -> Policy:
    """The policy of *settings*: where requests may go."""
    return Policy(allow=settings.egress_allow, deny=settings.egress_deny)


def longest_timeout(endpoints: Mapping[str, Endpoint]) -> float:
    """Seconds that the slowest attempt may take, which every lease on a delivery has to outlast (R24); 0 for none."""
    return max((endpoint.timeout for endpoint in endpoints.values()), default=0.0)


def _wanted(settings: Settings) -> list[EndpointSettings]:
    named, webhook = [*settings.endpoints], settings.webhook
    if webhook is None:
        if not named:
            raise ConfigError(
                "no webhook: set the receiver with --webhook URL or [endpoints.NAME] in the file, "
                "or use --webhook none to only read results through the API"
            )
        return named
    if webhook == NO_WEBHOOK:
        if named:
            raise ConfigError(
                f"--webhook {NO_WEBHOOK} disables webhooks, but [endpoints.{named[0].name}] is configured; "
                "remove one of them"
            )
        return []
    if DEFAULT in {one.name for one in named}:
        raise ConfigError(
            f"--webhook defines the endpoint {DEFAULT!r}, which [endpoints.{DEFAULT}] defines too; remove one of them"
        )
    return [EndpointSettings(name=DEFAULT, url=webhook), *named]


def _endpoint(one: EndpointSettings, settings: Settings, files: Mapping[Path, SecretFile]) -> Endpoint:
    return Endpoint(
        name=one.name,
        url=one.url,
        secrets=files[one.secret_file or settings.secret_file],
        match=one.match,
        concurrency=one.concurrency or settings.delivery_concurrency,
        timeout=one.timeout or settings.delivery_timeout,
        tls=secured(one if one.tls_client_cert else settings, ca_file=one.tls_ca_file or settings.tls_ca_file),
    )
