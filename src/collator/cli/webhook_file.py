"""From a webhook to its file: the name, the text, and the writing that a power cut cannot halve.

A collated resource becomes ``NAME.txt``, one output a line as JSON, in index order; an incomplete one becomes
``NAME.incomplete.json``, all that is known of it. A repeat of a webhook writes the same bytes again.

The time of a file is that at which its resource ended, so that a webhook which comes late, as a replay of an earlier
resource of the same id does, is known to be older than the file that is there, and does not replace it.

NAME is the resource id, with all but ASCII letters, digits, ``-``, ``_`` and inner dots written as ``%xx``. Where two
ids could meet in one file because a file system does not tell ``A`` from ``a``, where Windows reserves the name, or
where it is too long, ``~`` and the start of the id's SHA-256 stand before the first dot, up to which Windows looks, or
at the end; ``~`` is never part of a plain name.

What is written is made piece by piece: a body may have 64 MiB, and the outputs in it may be of a byte each.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import math
import os
import re
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from json.scanner import make_scanner
from pathlib import Path
from typing import Annotated

import msgspec

from collator.durability import sync_directory
from collator.errors import Malformed
from collator.packet import check_id
from collator.states import State
from collator.text import escaped_json, quoted

MAX_NAME = 150
"""Characters of a name without the hash; file systems take 255 bytes with the ending."""

MAX_INDENTED = 256 * 1024
"""Bytes of an incomplete resource that are written in lines with indents, which may make them many times as long."""
SUFFIXES = (".txt", ".incomplete.json")
"""Of the two files that a resource may have, one at a time."""

_UNSAFE = re.compile(rb"[^A-Za-z0-9_.-]|^\.")
_BLANKS = frozenset(" \t\r\n")
_SPACE = re.compile(r"[ \t\r\n]*")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


class Data(msgspec.Struct, frozen=True):
    """The content of the file: `data` of the webhook's body."""

    resource_id: str
    outputs: msgspec.Raw = msgspec.Raw(b"")


class Event(msgspec.Struct, frozen=True):
    """The body of a webhook."""

    type: str
    data: Data
    timestamp: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    """When the resource ended."""


class File(msgspec.Struct, frozen=True):
    """A file to be written."""

    name: str
    """Without its ending."""
    ending: str
    pieces: Iterable[bytes]
    ended: int
    """When the resource ended, nanoseconds since 1970."""

    @property
    def full_name(self) -> str:
        """Name and ending."""
        return self.name + self.ending


class _CompleteBody(msgspec.Struct, frozen=True):
    data: msgspec.Raw


_event = msgspec.json.Decoder(Event)
_whole = msgspec.json.Decoder(_CompleteBody)
_lock = threading.Lock()  # from the look at the file that is there to its replacement


def _as_it_is(text: str) -> str:
    """Stand for a number: nobody wants its value, which may have thousands of digits."""
    return text


_scan = make_scanner(json.JSONDecoder(parse_float=_as_it_is, parse_int=_as_it_is, parse_constant=_as_it_is))  # type: ignore[arg-type]  # typeshed's name for it


def file_for(body: bytes) -> File:
    """The file for a webhook's *body*. Raises `ValueError` where it is none of Collator's."""
    event = _event.decode(body)
    try:
        name = file_name(check_id(event.data.resource_id))
    except Malformed as error:
        raise ValueError(error.detail) from None
    moment, ended = event.timestamp, time.time_ns()
    if moment:
        ended = int(moment.replace(microsecond=0).timestamp()) * 10**9 + moment.microsecond * 1000
    if event.type == f"resource.{State.COLLATED}" and bytes(memoryview(event.data.outputs)[:1]) == b"[":
        return File(name, SUFFIXES[0], _lines(event.data.outputs), ended)
    if event.type == f"resource.{State.INCOMPLETE}":
        known = bytes(_whole.decode(body).data)
        indented = known if len(known) > MAX_INDENTED else msgspec.json.format(known, indent=2)
        return File(name, SUFFIXES[1], _in_pieces(indented + b"\n"), ended)
    raise ValueError(f"{quoted(event.type)} is not an event that is filed")


def file_name(resource_id: str) -> str:
    """The name, without an ending, of the file of *resource_id*: different for every id, on every file system."""
    plain = _UNSAFE.sub(lambda match: b"%%%02x" % match[0][0], resource_id.encode()).decode()
    if plain == plain.lower() and len(plain) <= MAX_NAME and not _RESERVED.fullmatch(plain):
        return plain
    stem, dot, rest = plain[:MAX_NAME].partition(".")
    return f"{stem}~{hashlib.sha256(resource_id.encode()).hexdigest()[:16]}{dot}{rest}"


def write_newer(directory: Path, file: File) -> int | None:
    """Put *file* into *directory*, whole or not at all, so that a power cut after the return leaves it there.

    How many bytes it has; `None` where a file of a resource of the same id that ended later is there, which stays.
    """
    descriptor, aside = tempfile.mkstemp(dir=directory, prefix=".", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.writelines(file.pieces)
            opened.flush()
            os.utime(aside, ns=(file.ended, file.ended))
            os.fsync(descriptor)
            size = opened.tell()
        with _lock:
            if any(_ended(directory / f"{file.name}{ending}") > file.ended for ending in SUFFIXES):
                Path(aside).unlink()
                return None
            Path(aside).replace(directory / file.full_name)
            _remove_older(directory, file)
    except BaseException:
        Path(aside).unlink()
        raise
    sync_directory(directory)
    return size


def _remove_older(directory: Path, file: File) -> None:
    """Remove the other file of the resource, in whose place *file* is, as once a retry has mended it."""
    for path in (directory / f"{file.name}{ending}" for ending in SUFFIXES if ending != file.ending):
        if _ended(path) < file.ended:
            path.unlink(missing_ok=True)


def _shown(text: bytes) -> bytes:
    """*text*, JSON, as a person may look at it in a terminal: the same value."""
    return text if text.isascii() and b"\x7f" not in text else escaped_json(text.decode(), joiners=True).encode()


def _ended(path: Path) -> float:
    """The end of the resource whose file *path* is, in nanoseconds since 1970."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return -math.inf


def _lines(outputs: msgspec.Raw) -> Iterator[bytes]:
    """The elements of the array *outputs*, as they are written there, a line each."""
    array = memoryview(outputs)
    text = str(array, "latin-1")  # a character a byte, so that places in it are places in the array
    at, end = _behind_space(text, 1), len(text) - 1
    while at < end:
        start, (_, at) = at, _scan(text, at)
        output = bytes(array[start:at])
        if b"\n" in output or b"\r" in output:  # it was written with line breaks between its parts
            output = msgspec.json.format(output, indent=-1)
        yield _shown(output) + b"\n"
        if text[at] != ",":
            at = _behind_space(text, at)
        at += 1
        if text[at : at + 1] in _BLANKS:
            at = _behind_space(text, at)


def _in_pieces(text: bytes) -> Iterator[bytes]:
    """*text*, which has no end in the middle of a character, as `_shown`, a part at a time."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for at in range(0, len(text), MAX_INDENTED):
        yield _shown(decoder.decode(text[at : at + MAX_INDENTED]).encode())


def _behind_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
