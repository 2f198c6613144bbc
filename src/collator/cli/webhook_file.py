"""From a webhook to its file: the name, the text, and the writing that a power cut cannot halve.

A collated resource becomes a file in the format that the receiver is told, ``NAME.txt`` by default; an incomplete one
becomes ``NAME.incomplete.json``, all that is known of it. A repeat of a webhook writes the same bytes again.

The time of a file is that at which its resource ended, so that a webhook which comes late, as a replay of an earlier
resource of the same id does, is known to be older than the file that is there, and does not replace it.

NAME is the resource id, with all but ASCII letters, digits, ``-``, ``_`` and inner dots written as ``%xx``. Where two
ids could meet in one file because a file system does not tell ``A`` from ``a``, where Windows reserves the name, or
where it is too long, ``~`` and the start of the id's SHA-256 stand before the first dot, up to which Windows looks, or
at the end; ``~`` is never part of a plain name.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import tempfile
import threading
import time
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec

from collator.cli.webhook_text import PLAIN, Format, Layout, indented
from collator.durability import sync_directory
from collator.errors import Malformed
from collator.packet import check_id
from collator.states import State
from collator.text import quoted
from collator.webhook import TEST

MAX_NAME = 150
"""Characters of a name without the hash; file systems take 255 bytes with the ending."""
INCOMPLETE = ".incomplete.json"
SUFFIXES = (*(one.ending for one in Format), INCOMPLETE)
"""Of the files that a resource may have, one at a time."""

_UNSAFE = re.compile(rb"[^A-Za-z0-9_.-]|^\.")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


class Data(msgspec.Struct, frozen=True):
    """The content of the file: `data` of the webhook's body."""

    resource_id: str = ""
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


class NoFileError(Exception):
    """The webhook is a test, of which nothing is written."""


class _CompleteBody(msgspec.Struct, frozen=True):
    data: msgspec.Raw


_event = msgspec.json.Decoder(Event)
_whole = msgspec.json.Decoder(_CompleteBody)
_lock = threading.Lock()  # from the look at the file that is there to its replacement


def file_for(body: bytes, layout: Layout = PLAIN) -> File:
    """The file for a webhook's *body*, in *layout*. Raises `ValueError` where it is none of Collator's.

    Raises `NoFileError` for a test of the receiver.

    Its pieces are made when they are written, and may raise `ValueError` and `NothingFoundError` then.
    """
    event = _event.decode(body)
    if event.type == TEST:
        raise NoFileError
    try:
        name = file_name(check_id(event.data.resource_id))
    except Malformed as error:
        raise ValueError(error.detail) from None
    moment, ended = event.timestamp, time.time_ns()
    if moment:
        ended = int(moment.replace(microsecond=0).timestamp()) * 10**9 + moment.microsecond * 1000
    if event.type == f"resource.{State.COLLATED}" and bytes(memoryview(event.data.outputs)[:1]) == b"[":
        as_json = layout.format is Format.JSON
        pieces = indented(bytes(_whole.decode(body).data)) if as_json else layout.lines(event.data.outputs)
        return File(name, layout.format.ending, pieces, ended)
    if event.type == f"resource.{State.INCOMPLETE}":
        return File(name, INCOMPLETE, indented(bytes(_whole.decode(body).data)), ended)
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


def _ended(path: Path) -> float:
    """The end of the resource whose file *path* is, in nanoseconds since 1970."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return -math.inf
