"""Signatures of webhooks, to the letter of Standard Webhooks 1.0, symmetric scheme ``v1``; rule R21.

Lives here: secrets as text, as keys and as files, signing, and the check that a receiver makes. Nothing here sends.

Theory. The signature is HMAC-SHA256 over ``id.timestamp.body`` with exactly the bytes that are sent. The header is a
list with one entry for each secret, and a receiver accepts any of them; so a secret is rotated by putting the new one
above the old one in the file, and removing the old one once every receiver knows the new (`rotate_secret_file`).
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import re
import stat
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from secrets import token_bytes
from typing import NamedTuple

from collator.durability import sync_directory
from collator.errors import CollatorError, ConfigError
from collator.file_watch import WatchedFile

PREFIX = "whsec_"
KEY_SIZES = range(24, 64 + 1)
"""Bytes of a key (Standard Webhooks, "Symmetric signature scheme")."""
TOLERANCE = 300.0
"""Seconds that a timestamp may lie in the past or future; the specification leaves it open, its libraries use this."""
ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"

_MAKE_ONE = "create one with: collator secret new"
_NO_ENTRY = f"no signature in {SIGNATURE} matches"
_ENTRY = re.compile(r"v1,[A-Za-z0-9+/]{43}=")
_NUMBER = re.compile(r"[0-9]{1,15}")
_WHAT = "secret file"
_MISSING = "a service makes that of its data directory when it starts first; another: collator secret new >FILE"


class Unverified(CollatorError):
    """The webhook is not from who holds the secret, or it is too old."""


class Secret:
    """A key that signs. Shows nothing of itself."""

    __slots__ = ("_keyed",)

    def __init__(self, text: str) -> None:
        """Take ``whsec_`` and the base64 of 24 to 64 bytes. Raises `ConfigError`, without the text in it."""
        # The key is scheduled once; each signature works on a copy.
        self._keyed = hmac.new(_key(text), digestmod="sha256")

    def begin(self, prefix: bytes) -> hmac.HMAC:
        """The code of *prefix* (``id.timestamp.``), to be gone on with over the body."""
        mac = self._keyed.copy()
        mac.update(prefix)
        return mac

    def entry(self, prefix: bytes, body: bytes) -> str:
        """The entry of the signature header for *prefix* and *body*."""
        mac = self._keyed.copy()
        mac.update(prefix + body)  # one call of it takes longer than to join them
        return _entry(mac)


class Signature:
    """The value of ``webhook-signature`` for a body that comes in pieces."""

    def __init__(self, secrets: Sequence[Secret], webhook_id: str, timestamp: int) -> None:
        """One entry for each of *secrets*; *timestamp* in seconds since 1970."""
        prefix = f"{webhook_id}.{timestamp}.".encode()
        self._macs = [secret.begin(prefix) for secret in secrets]

    def update(self, piece: bytes) -> None:
        """Take the next piece of the body."""
        for mac in self._macs:
            mac.update(piece)

    def value(self) -> str:
        """The value, for the pieces up to here."""
        return " ".join(map(_entry, self._macs))


def sign(secrets: Sequence[Secret], webhook_id: str, timestamp: int, body: bytes) -> str:
    """The value of ``webhook-signature``: one entry for each of *secrets*; *timestamp* in seconds since 1970."""
    prefix = f"{webhook_id}.{timestamp}.".encode()
    return " ".join([secret.entry(prefix, body) for secret in secrets])


class Signed(NamedTuple):
    """The signature headers of a webhook; whether they are right, only the body tells."""

    webhook_id: str
    timestamp: str
    entries: Sequence[bytes]


def read_signature(headers: Mapping[str, str], *, now: float, tolerance: float = TOLERANCE) -> Signed:
    """Read *headers*, by their names in lower case. Raises `Unverified` where no body could go with them.

    *now* in seconds since 1970; *tolerance* in seconds.
    """
    webhook_id, timestamp, given = (_header(headers, name) for name in (ID, TIMESTAMP, SIGNATURE))
    if not _NUMBER.fullmatch(timestamp):
        raise Unverified(f"{TIMESTAMP} is not a number of seconds")
    age = now - int(timestamp)
    if abs(age) > tolerance:
        raise Unverified(f"{TIMESTAMP} is {abs(age):.0f} s in the {'past' if age > 0 else 'future'}")
    entries = [entry.encode("utf-8", "replace") for entry in given.split(" ") if _ENTRY.fullmatch(entry)]
    if not entries:
        raise Unverified(_NO_ENTRY)
    return Signed(webhook_id, timestamp, entries)


def verify(
    secrets: str | Sequence[Secret],
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: float | None = None,
    tolerance: float = TOLERANCE,
) -> str:
    """The ``webhook-id`` of a webhook that one of *secrets* signed. Raises `Unverified`, saying why, for any other.

    Args:
        secrets: The text of a secret file as it is, or what `parse_secrets` made of it. `ConfigError` for another text.
        headers: By their names, in any case.
        body: Exactly as received, before it is parsed.
        now: Seconds since 1970; that of the clock where it is not given.
        tolerance: Seconds that the timestamp may lie in the past or future.
    """
    known = parse_secrets(secrets) if isinstance(secrets, str) else secrets
    named = {name.lower(): value for name, value in headers.items()}
    webhook_id, timestamp, entries = read_signature(named, now=time.time() if now is None else now, tolerance=tolerance)
    prefix = f"{webhook_id}.{timestamp}.".encode("utf-8", "replace")
    expected = [secret.entry(prefix, body).encode() for secret in known]
    # Every pair is compared, each in constant time, so that the time tells nothing about which came near.
    if not sum([hmac.compare_digest(entry, one) for entry in entries for one in expected]):
        raise Unverified(_NO_ENTRY)
    return webhook_id


def generate_secret() -> str:
    """A new secret of 32 random bytes, as text."""
    return PREFIX + base64.b64encode(token_bytes(32)).decode()


def parse_secrets(text: str) -> Sequence[Secret]:
    """The secrets of a file's *text*: one a line, the current one first; blank lines and ``#`` comments are skipped.

    Raises `ConfigError` with the number of the line that cannot be used, or where there is none.
    """
    return [secret for secret, _ in _lines(text)]


def read_secret_file(path: Path) -> Sequence[str]:
    """The texts of the secrets in the file *path*, the current one first. Raises `ConfigError`."""
    return WatchedFile(path, _texts, what=_WHAT, secret=True, missing=_MISSING).current()


def ensure_secret_file(path: Path) -> bool:
    """Make the file *path* with a new secret, readable by its owner alone, unless it is there. Whether it was made.

    It holds the secret and no more, not even the end of a line, so that a library of any language takes it as it is.
    It is written aside and then linked to its name: it is there whole or not at all, and what is there is never
    overwritten, whoever else does the same at the moment. Raises `ConfigError`.
    """
    try:
        if path.exists():
            return False
        _write_aside(generate_secret(), path, path.hardlink_to)
    except FileExistsError:
        return False
    except OSError as error:
        raise ConfigError(
            f"{_WHAT} {path}: cannot be created: {error.strerror}; make {path.parent} a directory that this user may "
            "write in, or name a file with --webhook-secret-file, made by: collator secret new >FILE"
        ) from None
    return True


def rotate_secret_file(path: Path) -> Sequence[str]:
    """Put a new secret above the one in the file *path*, so that both sign; the texts, the new one first.

    Raises `ConfigError` where there are two already: a third would sign what no receiver is about to change to.
    """
    texts = read_secret_file(path)
    if len(texts) > 1:
        raise ConfigError(f"{_WHAT} {path}: {len(texts)} secrets sign already: finish that rotation first")
    return _replace(path, [generate_secret(), *texts])


def finish_rotation(path: Path) -> Sequence[str]:
    """Leave the current secret alone in the file *path*; the texts that sign from now on. Raises `ConfigError`."""
    return _replace(path, read_secret_file(path)[:1])


class SecretFile(WatchedFile[Sequence[Secret]]):
    """The secrets of one file, read again when the file changes, so that a rotation needs no restart (R21).

    `current` gives those that sign now, the current one first.
    """

    def __init__(self, path: Path) -> None:
        """Read *path*. Raises `ConfigError` where it cannot be used."""
        super().__init__(path, parse_secrets, what=_WHAT, secret=True, missing=_MISSING)


def _replace(path: Path, texts: Sequence[str]) -> Sequence[str]:
    """Exchange the file *path* for one with *texts* and the same owner and mode, whole or not at all."""
    target = path.resolve()  # what a link leads to, not the link
    try:
        _write_aside("\n".join(texts), target, lambda aside: aside.replace(target), target.stat())
    except OSError as error:
        raise ConfigError(f"{_WHAT} {path}: cannot be replaced: {error.strerror}") from None
    return texts


def _write_aside(text: str, beside: Path, rename: Callable[[Path], object], like: os.stat_result | None = None) -> None:
    """Write *text* beside a file, durable and with the owner and mode of *like*, before *rename* gives it its name."""
    descriptor, name = tempfile.mkstemp(dir=beside.parent, prefix=f".{beside.name}.")  # of mode 0600
    aside = Path(name)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            if like is not None and os.name == "posix":
                os.fchown(descriptor, like.st_uid, like.st_gid)  # a service of another user has to read it
                os.fchmod(descriptor, stat.S_IMODE(like.st_mode))
            os.fsync(descriptor)
        rename(aside)
    finally:
        aside.unlink(missing_ok=True)
    sync_directory(beside.parent)


def _lines(text: str) -> Sequence[tuple[Secret, str]]:
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    found = [(_at(number, line), line) for number, line in lines if line and not line.startswith("#")]
    if not found:
        raise ConfigError("it contains no secret")
    return found


def _texts(text: str) -> Sequence[str]:
    return [line for _, line in _lines(text)]


def _at(number: int, line: str) -> Secret:
    try:
        return Secret(line)
    except ConfigError as error:
        raise ConfigError(f"line {number}: {error.detail}") from None


def _key(text: str) -> bytes:
    if not text.startswith(PREFIX):
        raise ConfigError(f"a secret starts with {PREFIX}")
    if PREFIX in text[len(PREFIX) :]:
        raise ConfigError("it has two secrets: each needs a line of its own")
    try:
        unpadded = text[len(PREFIX) :].rstrip("=").encode()
        key = base64.b64decode(unpadded + b"=" * (-len(unpadded) % 4), validate=True)
    except ValueError:
        raise ConfigError(f"the text after {PREFIX} is not base64") from None
    if len(key) not in KEY_SIZES:
        raise ConfigError(
            f"a secret must have {KEY_SIZES[0]} to {KEY_SIZES[-1]} bytes, this one has {len(key)}; {_MAKE_ONE}"
        )
    if len({*key}) == 1:
        raise ConfigError(f"all bytes of this secret are equal, which is easy to guess; {_MAKE_ONE}")
    return key


def _entry(mac: hmac.HMAC) -> str:
    return "v1," + binascii.b2a_base64(mac.digest(), newline=False).decode()


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name)
    if not value:
        raise Unverified(f"{name} is missing")
    return value
