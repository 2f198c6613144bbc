"""Bearer tokens: what a caller may do. Pure, but for the file that holds them.

A token is made once, shown once, and kept by the caller; the service knows its hash alone, so that its files are of no
use to call in another's name. A token has 256 random bits: it cannot be guessed, so that a quick hash is enough. The
file has one token a line, ``ROLES sha256:HASH NAME``; it is read again when it changes, so that a token is given and
taken back without a restart. Before the name may stand ``prefix=TEXT``, percent-encoded, one or more: the token is for
resources alone whose id begins so.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from secrets import token_urlsafe
from typing import NamedTuple
from urllib.parse import quote, unquote

from collator.errors import ConfigError
from collator.file_watch import WatchedFile

PREFIX = "collator_"
"""Every token begins with it, so that one that was published by mistake is found by those who look for such things."""

MAX_NAME = 64
"""Characters of the name of who has a token."""

MAX_PREFIXES = 16
"""Beginnings of ids that a token may have: a list is looked up once for each."""
MAX_PREFIX = 255
"""Bytes of one: ids have no more."""

_LINE = re.compile(
    r"(?P<roles>\S+)\s+sha256:(?P<digest>[0-9a-fA-F]{64})\s+(?P<prefixes>(?:prefix=\S*\s+)*)"
    rf"(?P<name>\S.{{,{MAX_NAME - 1}}})"
)
_MISPLACED = re.compile(r"(?i)(?:^|\s)(?:-*prefix(?:es)?\s*[=:]|--?prefix(?:es)?(?:\s|$))")
"""In a name: a prefix that is not where one is read, or not as one is written. Its token would be for all resources."""
_PLAIN = "/:@+,;=~!*'()$&"
"""What stands for itself in a prefix, beside letters, digits and ``_.-``."""


class Role(StrEnum):
    """The roles of a token."""

    SEND = "send"  #: give packets, and say how many there are
    READ = "read"  #: look: resources, outputs, deliveries, metrics
    ADMIN = "admin"  #: everything: repair and forget, too


class Caller(NamedTuple):
    """The owner of a token."""

    name: str
    roles: frozenset[Role]
    prefixes: tuple[str, ...] = ()
    """How the ids of the resources begin that it is for, in order, none of which begins as another; empty for all."""

    def reaches(self, resource_id: str) -> bool:
        """Return whether the token is for the resource."""
        return not self.prefixes or resource_id.startswith(self.prefixes)

    def within(self, prefix: str) -> Sequence[str]:
        """The prefixes of all ids with *prefix* that the token is for, in order."""
        if not self.prefixes or prefix.startswith(self.prefixes):
            return (prefix,)
        return [own for own in self.prefixes if own.startswith(prefix)]

    def may(self, role: Role) -> bool:
        """Return whether what wants *role* is allowed."""
        return role in self.roles or Role.ADMIN in self.roles


class Tokens:
    """The tokens that a service knows."""

    def __init__(self, known: Sequence[tuple[bytes, Caller]]) -> None:
        """Know the callers by the sha256 of their tokens."""
        self._known = known

    def __len__(self) -> int:
        """The number of tokens."""
        return len(self._known)

    def find(self, token: bytes) -> Caller | None:
        """The caller with *token*, if any. All are compared, so that the time tells nothing."""
        digest = hashlib.sha256(token).digest()
        found = [caller for known, caller in self._known if hmac.compare_digest(known, digest)]
        return found[0] if found else None


class TokenFile(WatchedFile[Tokens]):
    """The tokens of one file; `current` gives those that hold now.

    One without any at the start is a mistake; later it means that the last token was taken back.
    """

    def __init__(self, path: Path) -> None:
        """Read *path*. Raises `ConfigError` where it cannot be used, or has no token."""
        super().__init__(path, parse_tokens, what="tokens file")
        if not self.current():
            raise ConfigError(f"tokens file {path}: it contains no token; create one with: collator token")


def generate_token() -> str:
    """A new token."""
    return PREFIX + token_urlsafe(32)


def line_for(token: str, *, roles: Iterable[Role], name: str, prefixes: Iterable[str] = ()) -> str:
    """The line of the file that makes *token* known, for resources alone whose id begins as one of *prefixes*, if any.

    `ConfigError` for what does not fit on it.
    """
    name = name.strip()
    if not name:
        raise ConfigError("the name is empty")
    if not (name.isprintable() and len(name) <= MAX_NAME):
        raise ConfigError(f"the name {name[:MAX_NAME]!r} is invalid: use at most {MAX_NAME} printable characters")
    _check_name(name)
    digest = hashlib.sha256(token.encode()).hexdigest()
    granted = dict.fromkeys(roles)
    kept = _checked(prefixes, frozenset(granted))
    words = [",".join(granted), f"sha256:{digest}", *(f"prefix={quote(prefix, safe=_PLAIN)}" for prefix in kept)]
    return " ".join([*words, name])


def parse_tokens(text: str) -> Tokens:
    """The tokens of a file's *text*: one a line; blank lines and ``#`` comments are skipped.

    Raises `ConfigError` with the number of the line that cannot be used.
    """
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    known: dict[bytes, Caller] = {}
    for number, line in lines:
        if line and not line.startswith("#"):
            digest, caller = _at(number, line)
            if digest in known:
                raise ConfigError(f"line {number}: this token is already listed, as {known[digest].name!r}")
            known[digest] = caller
    return Tokens([*known.items()])


def _at(number: int, line: str) -> tuple[bytes, Caller]:
    parts = _LINE.fullmatch(line)
    if parts is None or not parts["name"].isprintable():
        raise ConfigError(f"line {number}: expected ROLES sha256:HASH NAME; create one with: collator token")
    unknown = [role for role in parts["roles"].split(",") if role not in {*Role}]
    if unknown:
        raise ConfigError(f"line {number}: {unknown[0]!r} is not a role; the roles are {', '.join(Role)}")
    roles = frozenset(map(Role, parts["roles"].split(",")))
    try:
        _check_name(parts["name"])
        prefixes = [unquote(word.partition("=")[2], errors="strict") for word in parts["prefixes"].split()]
        return bytes.fromhex(parts["digest"]), Caller(parts["name"], roles, _checked(prefixes, roles))
    except UnicodeError:
        raise ConfigError(f"line {number}: a prefix is not percent-encoded UTF-8") from None
    except ConfigError as error:
        raise ConfigError(f"line {number}: {error.detail}") from None


def _check_name(name: str) -> None:
    if _MISPLACED.search(name):
        raise ConfigError(f"the name {name!r} contains a prefix; write prefix=TEXT before the name, without spaces")


def _checked(prefixes: Iterable[str], roles: frozenset[Role]) -> tuple[str, ...]:
    """*prefixes* in order, without those that begin as another. Raises `ConfigError`."""
    kept: list[str] = []
    for prefix in sorted(set(prefixes)):
        if not prefix or len(prefix.encode()) > MAX_PREFIX:
            raise ConfigError(f"a prefix must have 1 to {MAX_PREFIX} bytes; omit it for a token for all resources")
        if not prefix.startswith(tuple(kept)):
            kept.append(prefix)
    if len(kept) > MAX_PREFIXES:
        raise ConfigError(f"a token may have at most {MAX_PREFIXES} prefixes")
    if kept and Role.ADMIN in roles:
        raise ConfigError("a token with the role admin cannot have a prefix")
    return tuple(kept)
