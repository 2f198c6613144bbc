"""Collator turns a live stream of packets into one webhook per finished resource.

The flow: `intake` checks limits, and the `ledger` stores a packet before it is acknowledged; the `workers` calls the
`processor` for it; with the last output the ledger closes the resource and writes its deliveries in the same step;
`delivery` signs and sends them until they arrive. `service` puts these together.

The names below are imported when they are asked for, so that a program pays only for what it uses.
"""

from __future__ import annotations

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collator.client import Client, Rejected, SyncClient, Tally, Unreachable, send
    from collator.errors import (
        CollatorError,
        ConfigError,
        Conflict,
        Denied,
        Ended,
        Malformed,
        Occupied,
        Permanent,
        ProcessorFailed,
        Unavailable,
        Unknown,
    )
    from collator.library import Collator, Webhook
    from collator.processor import Context, Partial
    from collator.settings import Settings
    from collator.signing import Unverified, verify

__version__ = "0.2.0"

__all__ = [
    "Client",
    "Collator",
    "CollatorError",
    "ConfigError",
    "Conflict",
    "Context",
    "Denied",
    "Ended",
    "Malformed",
    "Occupied",
    "Partial",
    "Permanent",
    "ProcessorFailed",
    "Rejected",
    "Settings",
    "SyncClient",
    "Tally",
    "Unavailable",
    "Unknown",
    "Unreachable",
    "Unverified",
    "Webhook",
    "__version__",
    "send",
    "verify",
]

_HOMES = MappingProxyType(
    {
        "Client": "collator.client",
        "Collator": "collator.library",
        "CollatorError": "collator.errors",
        "ConfigError": "collator.errors",
        "Conflict": "collator.errors",
        "Context": "collator.processor",
        "Denied": "collator.errors",
        "Ended": "collator.errors",
        "Malformed": "collator.errors",
        "Occupied": "collator.errors",
        "Partial": "collator.processor",
        "Permanent": "collator.errors",
        "ProcessorFailed": "collator.errors",
        "Rejected": "collator.client",
        "Settings": "collator.settings",
        "SyncClient": "collator.client",
        "Tally": "collator.client",
        "Unavailable": "collator.errors",
        "Unknown": "collator.errors",
        "Unreachable": "collator.client",
        "Unverified": "collator.signing",
        "Webhook": "collator.library",
        "send": "collator.client",
        "verify": "collator.signing",
    }
)


if not TYPE_CHECKING:  # a checker would believe that any name is here

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module 'collator' has no attribute {name!r}")
        return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__]
