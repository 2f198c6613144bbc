"""`collator serve`: the service. Parses, calls `collator.service`, and says what is wrong where it cannot start."""

from __future__ import annotations

import ipaddress

from collator.cli.command import command
from collator.errors import ConfigError
from collator.settings import Scope, Settings


@command(
    Scope.SERVICE,
    examples=(
        (
            "Deliver to a receiver on this machine (collator receive is one)",
            "collator serve --webhook http://127.0.0.1:9000/",
        ),
        (
            "Call lengths(payload) in words.py of the working directory",
            "collator serve --webhook http://127.0.0.1:9000/ --processor words:lengths",
        ),
        ("Results are only pulled, from /v1/resources/ID/outputs", "collator serve --webhook none"),
        ("Settings from a file", "collator serve --config collator.toml"),
    ),
)
def serve(*, settings: Settings) -> None:
    """Take packets, process and collate them, and deliver a webhook for every finished resource.

    Stop it with Ctrl-C or SIGTERM: it refuses new packets, finishes what is under way, and goes on with the rest at the
    next start. What it has acknowledged survives kill -9 and a power cut.
    """
    check(settings)
    from collator import service

    service.run(settings)


def check(settings: Settings) -> None:
    """Raise `ConfigError` where other machines would reach the service, and *settings* do not say that it is wanted."""
    if not (settings.insecure or _is_loopback(settings.host)):
        raise ConfigError(
            f"--host {settings.host} can be reached from other machines, and nobody would be asked who he is: "
            "listen on 127.0.0.1 behind a proxy that asks, or say --insecure"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
