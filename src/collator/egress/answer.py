"""The result of a request, and its wording for a person. Pure."""

from __future__ import annotations

import re

import msgspec

from collator.text import one_line

TEXT = 2048
"""Bytes of an answer that are kept for a person who asks what a receiver says."""
MOST_SAID = 200
"""Characters of a text answer that are told to a person."""

REDIRECTS = range(300, 400)
_TOO_LARGE = 413
_USER = re.compile(r"//[^/@]*@")
READ = 2 * TEXT
"""Bytes of a text answer that are read for a person: what is taken out of it makes it shorter."""
_TEXTUAL = re.compile(r"text/|[^;]*(?:json|xml)", re.IGNORECASE)
_CHARSET = re.compile(r"""charset=["']?([\w.:-]+)""", re.IGNORECASE)
_MARKUP = re.compile(r"<[^>]*>?")


class Answer(msgspec.Struct, frozen=True, gc=False):
    """The answer of a receiver: a whole final head, and what followed it."""

    status: int
    """The HTTP status."""
    retry_after: str | None = None
    """The ``Retry-After`` header, as it came."""
    words: str = ""
    """What it comes to, where that was no HTTP."""
    body: bytes | None = None
    """The body, undecoded, where it was to be kept and is no longer than that."""
    beginning: bytes = b""
    """The first `READ` bytes of the body, undecoded, where it was to be kept or is no success, however long it is."""
    size: int = 0
    """Bytes of the body that came, where it is no success: of one that is longer, what was read before the end."""
    location: str = ""
    """The ``Location`` header, where there is one, printable and on one line; it may hold a secret."""
    excerpt: str = ""
    """Up to 200 characters of a text answer that is no success, printable and on one line."""
    media: str = ""
    """The ``Content-Type`` header, where `beginning` was to be kept."""
    coding: str = ""
    """The ``Content-Encoding`` header of such a body, which is as it came."""
    complete: bool = True
    """False where the body did not end as its head announced: for who wants the body a success is none then."""


class NoAnswer(msgspec.Struct, frozen=True, gc=False):
    """There is no answer, or not a whole one."""

    reason: str
    """In words: ``connection refused``, ``timed out after 15 s``."""
    reached: bool = True
    """False where no connection came about, which says something of the whole host. Where one did, and no TLS on it,
    that says something of the settings too, which are of one endpoint."""
    own_shortage: bool = False
    """True where this process lacked descriptors or memory, which says nothing about the receiver."""
    broken: bool = False
    """True where the connection was there, and was closed or reset before the head of the answer was whole."""
    settings: bool = False
    """True where the settings are to blame: TLS failed, or the policy lets nothing go there."""
    media: str = ""
    """The ``Content-Type`` header of a success that did not end in time."""


def excerpt(body: bytes, media: str) -> str:
    """The text of *body*, of the type *media*, for a person: at most `MOST_SAID` characters on one line."""
    if not _TEXTUAL.match(media):
        return ""
    text = _decoded(body[:READ], media)
    return one_line(_MARKUP.sub(" ", text) if "html" in media.lower() else text, MOST_SAID)


def text_of(answer: Answer) -> str:
    """The text of *answer*, whose beginning was kept: up to `TEXT` bytes as UTF-8, which end between two characters.

    Empty where it is no text, or compressed.
    """
    if answer.coding or not _TEXTUAL.match(answer.media):
        return ""
    return _decoded(answer.beginning, answer.media).encode("utf-8", "replace")[:TEXT].decode("utf-8", "ignore")


def words(answer: Answer | NoAnswer, *, size: int) -> str:
    """*answer*, to a body of *size* bytes, in words of this project."""
    if isinstance(answer, NoAnswer):
        return answer.reason
    told = answer.words or f"HTTP {answer.status}"
    if answer.status in REDIRECTS and answer.location:
        # Without what may be a secret in it: a user, a query.
        place, query, _ = answer.location.partition("#")[0].partition("?")
        plain = "".join(character if character.isprintable() else "?" for character in place)
        plain = _USER.sub("//…@", plain, count=1)  # before it is cut, which may take away the @ that tells a user
        address = plain[:MOST_SAID] + ("…" if len(plain) > MOST_SAID else "?…" if query else "")
        return f"{told} to {address}; redirects are not followed"
    if answer.status == _TOO_LARGE:
        told += f" for a body of {size} bytes"
    return told if answer.complete else f"{told}, but the body of the answer is incomplete"


def _decoded(body: bytes, media: str) -> str:
    charset = _CHARSET.search(media)
    try:
        return body.decode(charset[1] if charset else "utf-8", "replace")
    except (LookupError, ValueError):
        return body.decode("utf-8", "replace")
