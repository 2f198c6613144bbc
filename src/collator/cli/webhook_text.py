"""What a file of a resource holds, piece by piece: a body may have 64 MiB, and the outputs in it may be of a byte each.

Theory. A file in JSON has every value as it was received, with escapes for what a terminal would obey or hide, which
leave the value the same. A file of text has no escapes of its own: there a text is written as it is, but for control
characters.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from enum import StrEnum
from json.scanner import make_scanner
from typing import NamedTuple

import msgspec

from collator.processor.pointer import NothingFoundError, Pointer
from collator.text import escaped, escaped_json

MAX_INDENTED = 256 * 1024
"""Bytes of JSON that are written in lines with indents, which may make them many times as long."""

_BLANKS = frozenset(" \t\r\n")
_SPACE = re.compile(r"[ \t\r\n]*")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]|\r(?!\n)")
"""But tabs, ends of lines, and form feeds, which stand between pages."""
_text = msgspec.json.Decoder(str).decode


class Format(StrEnum):
    """How a collated resource is written."""

    TEXT = "text"
    JSONL = "jsonl"
    JSON = "json"

    @property
    def ending(self) -> str:
        """The end of its file's name. None of them is the end of another, so that two ids never share a file."""
        return {"text": ".txt", "jsonl": ".jsonl", "json": ".collated.json"}[self]


class Layout(NamedTuple):
    """How a receiver writes what is collated."""

    format: Format = Format.TEXT
    field: Pointer | None = None
    """To what is written of each output; `None`: all of it."""

    def lines(self, outputs: msgspec.Raw) -> Iterator[bytes]:
        """The text for each of *outputs*, an array. Raises `NothingFoundError` where one lacks the field."""
        for number, output in enumerate(elements(outputs)):
            chosen = output if self.field is None else self._chosen(self.field, output, number)
            if b"\n" in chosen or b"\r" in chosen:  # it was written with line breaks between its parts
                chosen = msgspec.json.format(chosen, indent=-1)
            if self.format is Format.TEXT and chosen[:1] == b'"':
                text = _CONTROL.sub(lambda found: escaped(found[0]), _text(chosen))
                yield text.encode() if text.endswith("\n") else f"{text}\n".encode()
            else:
                yield _shown(chosen) + b"\n"

    def _chosen(self, field: Pointer, output: bytes, number: int) -> bytes:
        try:
            return field.find(output, what=f"output {number}")
        except NothingFoundError as error:
            raise NothingFoundError(f"{error}: see --field") from None


PLAIN = Layout()
"""What a receiver does that is told nothing."""


def indented(document: bytes) -> Iterator[bytes]:
    """*document*, JSON, as a person reads it."""
    text = document if len(document) > MAX_INDENTED else msgspec.json.format(document, indent=2)
    decoder = codecs.getincrementaldecoder("utf-8")()
    for at in range(0, len(text), MAX_INDENTED):
        yield _shown(decoder.decode(text[at : at + MAX_INDENTED]).encode())
    yield b"\n"


def elements(array: msgspec.Raw) -> Iterator[bytes]:
    """The elements of *array*, JSON, as they are written there."""
    content = memoryview(array)
    text = str(content, "latin-1")  # a character a byte, so that places in it are places in the array
    at, end = _behind_space(text, 1), len(text) - 1
    while at < end:
        start, (_, at) = at, _scan(text, at)
        yield bytes(content[start:at])
        if text[at] != ",":
            at = _behind_space(text, at)
        at += 1
        if text[at : at + 1] in _BLANKS:
            at = _behind_space(text, at)


def _shown(text: bytes) -> bytes:
    """*text*, JSON, as a person may look at it in a terminal: the same value."""
    return text if text.isascii() and b"\x7f" not in text else escaped_json(text.decode(), joiners=True).encode()


def _as_it_is(text: str) -> str:
    """Stand for a number: nobody wants its value, which may have thousands of digits."""
    return text


_scan = make_scanner(json.JSONDecoder(parse_float=_as_it_is, parse_int=_as_it_is, parse_constant=_as_it_is))  # type: ignore[arg-type]  # typeshed's name for it


def _behind_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
