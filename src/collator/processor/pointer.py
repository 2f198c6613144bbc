"""JSON Pointers (RFC 6901): from a document to a value in it, as the bytes that stand there. Pure.

Theory. The bytes that are found are passed on: decoding and encoding would change numbers such as ``1e2`` and
``0.10000000000000000001``. So each step splits one level into its parts and leaves these undecoded. Libraries for JSON
Pointers work on values of Python.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import islice

import msgspec

from collator.text import counted, quoted, shorten

_MOST_MEMBERS = 5
"""Members of an object that are told to a person."""
_MOST_NAME = 40
"""Characters of the name of one."""

_INDEX = re.compile(r"0|[1-9][0-9]{0,17}")
_BAD_ESCAPE = re.compile(r"~(?![01])")
_NAMES = {ord("t"): "true", ord("f"): "false", ord("n"): "null", ord('"'): "a string"}
_grammar = msgspec.json.Decoder(msgspec.Raw).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_Level = Mapping[str, msgspec.Raw] | Sequence[msgspec.Raw] | None
"""The parts of a value, where it has some."""


class NothingFoundError(LookupError):
    """The document has nothing at the pointer; the text says what it has instead."""


class Pointer:
    """A pointer into documents of JSON."""

    def __init__(self, text: str) -> None:
        """Parse *text*, as in ``/choices/0/message/content``. Raises `ValueError` in words."""
        if text and not text.startswith("/"):
            raise ValueError(f"{quoted(text)} is not a JSON Pointer; write a / before each name or index, as in /a/0/b")
        if _BAD_ESCAPE.search(text):
            raise ValueError(f"{quoted(text)} is not a JSON Pointer: write ~0 for a ~, and ~1 for a / in a name")
        self.text = text
        self._tokens = [token.replace("~1", "/").replace("~0", "~") for token in text.split("/")[1:]]

    def find(self, document: bytes, *, what: str) -> bytes:
        """Return the bytes in *document* of the value that this points to, which are JSON.

        Raises `NothingFoundError`, in words that call the document *what*, and `ValueError` or `RecursionError` where
        it is no JSON.
        """
        value = _grammar(document)
        for depth, token in enumerate(self._tokens):
            level = _parts(value)
            found = _find_part(level, token)
            if found is None:
                place = shorten("/".join(self.text.split("/")[: depth + 1]), 200) or what
                raise NothingFoundError(
                    f"{what} has nothing at {shorten(self.text, 200)}: {place} is {_describe(value, level)}"
                )
            value = found
        return bytes(value)


def _parts(value: msgspec.Raw) -> _Level:
    match bytes(memoryview(value)[:1]):
        case b"{":
            return _members(value)
        case b"[":
            return _items(value)
        case _:
            return None


def _find_part(level: _Level, token: str) -> msgspec.Raw | None:
    if isinstance(level, Mapping):
        return level.get(token)
    if level is None or not _INDEX.fullmatch(token) or int(token) >= len(level):
        return None
    return level[int(token)]


def _describe(value: msgspec.Raw, level: _Level) -> str:
    """The kind of *value*, in words that end a sentence."""
    if isinstance(level, Mapping):
        return f"an object with {_listed(level)}" if level else "an empty object"
    if level is not None:
        return f"an array of {counted(len(level), 'item')}" if level else "an empty array"
    return _NAMES.get(memoryview(value)[0], "a number")


def _listed(names: Mapping[str, object]) -> str:
    first = ", ".join([quoted(name, _MOST_NAME) for name in islice(names, _MOST_MEMBERS)])
    return first + (f" and {len(names) - _MOST_MEMBERS} more" if len(names) > _MOST_MEMBERS else "")
