"""From a webhook to its file: the name, the text, and the writing that a power cut cannot halve.

A collated resource becomes ``NAME.txt``, one output a line as JSON, in index order; an incomplete one becomes
``NAME.incomplete.json``, all that is known of it. A repeat of a webhook writes the same bytes again.

NAME is the resource id, with all but ASCII letters, digits, ``-``, ``_`` and inner dots written as ``%xx``. Where two
ids could meet in one file because a file system does not tell ``A`` from ``a``, where Windows reserves the name, or
where it is too long, ``~`` and the start of the id's SHA-256 stand before the first dot, up to which Windows looks, or
at the end; ``~`` is never part of a plain name.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path

import msgspec

from collator.durable import sync_directory
from collator.states import State
from collator.words import escaped_json, quoted

MAX_NAME = 150
"""Characters of a name without the hash; file systems take 255 bytes with the ending."""

_UNSAFE = re.compile(rb"[^A-Za-z0-9_.-]|^\.")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


class Data(msgspec.Struct, frozen=True):
    """What the file is made of: `data` of the webhook's body."""

    resource_id: str
    outputs: list[msgspec.Raw] | None = None


class Event(msgspec.Struct, frozen=True):
    """The body of a webhook."""

    type: str
    data: Data


class _Whole(msgspec.Struct, frozen=True):
    data: msgspec.Raw


_event = msgspec.json.Decoder(Event)
_whole = msgspec.json.Decoder(_Whole)


def file_for(body: bytes) -> tuple[str, bytes]:
    """The name and the bytes of the file for a webhook's *body*. Raises `ValueError` where it is none of Collator's."""
    event = _event.decode(body)
    name = file_name(event.data.resource_id)
    if event.type == f"resource.{State.COLLATED}" and event.data.outputs is not None:
        return f"{name}.txt", b"".join([_shown(_one_line(output)) + b"\n" for output in event.data.outputs])
    if event.type == f"resource.{State.INCOMPLETE}":
        known = bytes(_whole.decode(body).data)
        return f"{name}.incomplete.json", _shown(msgspec.json.format(known, indent=2)) + b"\n"
    raise ValueError(f"{quoted(event.type)} is not an event that is filed")


def file_name(resource_id: str) -> str:
    """The name, without an ending, of the file of *resource_id*: different for every id, on every file system."""
    plain = _UNSAFE.sub(lambda match: b"%%%02x" % match[0][0], resource_id.encode()).decode()
    if plain == plain.lower() and len(plain) <= MAX_NAME and not _RESERVED.fullmatch(plain):
        return plain
    stem, dot, rest = plain[:MAX_NAME].partition(".")
    return f"{stem}~{hashlib.sha256(resource_id.encode()).hexdigest()[:16]}{dot}{rest}"


def write_durably(path: Path, content: bytes) -> None:
    """Put *content* at *path*, whole or not at all, so that a power cut after the return leaves it there."""
    descriptor, aside = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(aside).replace(path)
    except BaseException:
        Path(aside).unlink()
        raise
    sync_directory(path.parent)


def _shown(text: bytes) -> bytes:
    """*text*, JSON, as a person may look at it in a terminal: the same value."""
    return text if text.isascii() and b"\x7f" not in text else escaped_json(text.decode(), joiners=True).encode()


def _one_line(output: msgspec.Raw) -> bytes:
    """*output* in one line: an output may have been written with line breaks between its parts."""
    text = bytes(output)
    return msgspec.json.format(text, indent=-1) if b"\n" in text or b"\r" in text else text
