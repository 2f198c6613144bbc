"""Endpoints: where webhooks go, by name (R20), and which resources each of them wants."""

from __future__ import annotations

import re
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from fnmatch import translate

import msgspec

from collator.egress import Answer, NoAnswer
from collator.signing import Secret, SecretFile

EVERYTHING = "*"


LocalHandler = Callable[[str, bytes], Awaitable[Answer | NoAnswer]]
"""Takes an id and a body within this process, and answers as a receiver would. Never raises."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A receiver of webhooks, as the configuration has it."""

    name: str
    """What deliveries know it by; it outlives a change of the URL."""
    url: str
    secrets: SecretFile | None
    """What signs for it (R21); `None` only where a `handler` is."""
    handler: LocalHandler | None = None
    """What takes its webhooks instead of HTTP: the receiver is a part of this process."""
    match: str = EVERYTHING
    """Shell pattern (``*``, ``?``, ``[a-z]``) on the id of a resource, case-sensitive."""
    concurrency: int = 64
    """Requests under way at a time."""
    timeout: float = 15.0
    """Seconds for one attempt, from connecting to the last byte of the answer (R22)."""
    tls: ssl.SSLContext | None = None
    """What connections to it are secured by, where the settings name something; else what the system trusts."""

    def signs_with(self) -> Sequence[Secret]:
        """The secrets that sign for it now."""
        return () if self.secrets is None else self.secrets.recent()


def router(endpoints: Mapping[str, Endpoint]) -> Callable[[str], Sequence[str]]:
    """A function that names the endpoints which get a delivery of the resource with a given id."""
    names = tuple(endpoints)
    if all(endpoint.match == EVERYTHING for endpoint in endpoints.values()):
        return lambda _: names
    fits = [(name, re.compile(translate(endpoint.match)).match) for name, endpoint in endpoints.items()]
    return lambda resource_id: [name for name, fit in fits if fit(resource_id)]
