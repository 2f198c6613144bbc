"""Parsers of addresses, the same in flags, in the environment and in the file; as those of `collator.settings.values`.

What stands in an address may be a secret: an error shows no part of it that can hold one.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from collator import target
from collator.settings import postgresql
from collator.settings.address_parts import split
from collator.settings.values import kind, some_text

NO_WEBHOOK = "none"
"""What `webhook` says where results are only pulled (R20)."""

HIDDEN = "***"
"""Stands for what may be a secret."""

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_BROKERS = ("redis", "rediss", "valkey", "valkeys", "sentinel", "amqp", "amqps")


def url(text: str) -> str:
    """An address that webhooks or payloads can be sent to; what can never work is refused."""
    try:
        target.parse(text)
    except ValueError as error:
        shown = "it" if {*text} & {"@", "?"} else repr(text)  # what stands there may be a secret
        raise ValueError(f"{shown} is not a valid URL: {error}") from None
    return text


def service(text: str) -> str:
    """The address of a service, with nothing but a path behind the host, for a proxy that has it below one."""
    try:
        parts = urlsplit(text)
        named = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        named = False
    if not named or not text.isascii() or any(character <= " " for character in text):
        shown = "it" if {*text} & {"@", "?"} else repr(text)
        raise ValueError(f"{shown} is not a URL; write http://HOST:PORT/PATH or https://…")
    if "@" in urlsplit(text).netloc:
        raise ValueError("it contains a user name or a password; authenticate with a token instead")
    if "?" in text or "#" in text:
        raise ValueError("it has a query or a fragment; write http://HOST:PORT/PATH or https://…")
    return text


def processor(text: str) -> str:
    """An address, or something else, as ``MODULE:FUNCTION``: whether that is there is seen when it is opened."""
    return url(text) if target.is_url(text) else some_text(text)


def webhook(text: str) -> str:
    """An address, or ``none``."""
    try:
        return text if text == NO_WEBHOOK else url(text)
    except ValueError as error:
        raise ValueError(f"{error}, or {NO_WEBHOOK}") from None


def ledger(text: str) -> str:
    """``sqlite``, or the address of a PostgreSQL database, without a password, or several with ``;`` between them."""
    several = text.split(";")
    for one in several:
        if one.partition("://")[0] not in {"postgresql", "postgres"}:
            return kind("ledger", "sqlite", "postgresql://USER@HOST/DATABASE[;postgresql://…]")(text)
        postgresql.parse(one)
    if len({*several}) < len(several):
        raise ValueError("the list of ledgers has one of them twice")
    return text


def broker(text: str) -> str:
    """The address of a broker, or several with ``;`` between them."""
    for one in text.split(";"):
        scheme = _ADDRESS.match(one)
        if scheme is None or scheme[0].removesuffix("://") not in _BROKERS:
            shown = scheme[0] if scheme else "it"  # what stands there may hold a password
            raise ValueError(f"{shown} is not supported; write one of {', '.join(f'{name}://…' for name in _BROKERS)}")
    return text


def hidden(text: str) -> str:
    """*text* without what may be a secret in it, where it is an address, or several with ``;`` between them."""
    several = text.split(";")
    if len(several) > 1 and all(map(_ADDRESS.match, several)):
        return ";".join(map(hidden, several))
    parts = split(text)
    if parts is None:
        return text
    user, _, hosts = parts.authority.rpartition("@")
    return f"{parts.scheme}://{user and f'{HIDDEN}@'}{hosts}{parts.path}{parts.query and f'?{HIDDEN}'}"
