"""Diagnosis of bodies in a wrong format, so that their sender knows what to change. Pure.

It is asked only of what could not be taken, and looks at the first bytes: nothing here decides what is taken.
"""

from __future__ import annotations

import re

import msgspec

BOM = b"\xef\xbb\xbf"
"""The byte order mark of UTF-8, which says nothing, and which editors and shells of Windows write."""
LOOKED_AT = 16
"""Bytes that identify every format but lines, which are identified by the first line."""
JSON = "application/json"
LINES = "application/x-ndjson"

_PACKED = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x78\x01": "zlib",
    b"\x78\x9c": "zlib",
    b"PK\x03\x04": "zip",
}
_LONGEST = 1024 * 1024
"""Bytes of a first line that is looked at: far more takes long to read, and is not a first packet."""
_WIDE = re.compile(r"(utf|ucs)[-_]?(2|4|7|16|32)|iso-10646")
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([^\s;\"]*)", re.IGNORECASE)
_VALUE = msgspec.json.Decoder(msgspec.Raw)


def wide_charset(content_type: str) -> str | None:
    """The charset of *content_type*, where ASCII in it would not be UTF-8. JSON has none (RFC 8259, 8.1)."""
    return next((one for one in _CHARSET.findall(content_type.lower()) if _WIDE.match(one)), None)


def name_for_json(body: bytes, *, lines_there: bool) -> str | None:
    """Name the format of *body*, which should be one JSON value, and say what to do; *lines_there*: it may be lines."""
    name = _name(body)
    if name is not None:
        return name
    first, _, rest = body.strip().partition(b"\n")
    if len(first) > _LONGEST or not rest.strip() or not _is_json(first):
        return None
    hint = f"send one packet per line as {LINES}" if lines_there else "send only one"
    return f"the body contains more than one JSON value, from line 2 on: {hint}"


def name_for_lines(start: bytes) -> str | None:
    """Name the format of a body that begins with *start* and should have a packet per line, and say what to do."""
    if start.lstrip()[:1] == b"[":
        return f"this is a JSON array: send it as {JSON}, or send one packet per line without brackets and commas"
    if _is_spread(start):
        return f"this is one JSON object on several lines: send it on one line, or as {JSON}"
    return _name(start)


def _is_spread(start: bytes) -> bool:
    """Return whether *start* begins with a JSON object on several lines, as people write it."""
    first, _, rest = start.strip().partition(b"\n")
    if first.strip() == b"{":
        return True
    return first[:1] == b"{" and rest.lstrip()[:1] in {b'"', b"}"} and not _is_json(first)


def _name(data: bytes) -> str | None:
    packed = next((name for magic, name in _PACKED.items() if data.startswith(magic)), None)
    if packed:
        return f"this is {packed} data: send it uncompressed"
    encoding = _wide_encoding(data[:4])
    return f"this is {encoding} text: send it as UTF-8" if encoding else None


def _wide_encoding(start: bytes) -> str | None:
    """The encoding that *start* shows by its mark, or by the zeros beside the first character, ASCII in JSON."""
    zeros = bytes(byte != 0 for byte in start)
    if start == b"\xff\xfe\0\0" or zeros == b"\1\0\0\0":
        return "UTF-32 (little-endian)"
    if start == b"\0\0\xfe\xff" or zeros == b"\0\0\0\1":
        return "UTF-32 (big-endian)"
    if start[:2] == b"\xff\xfe" or zeros[:2] == b"\1\0":
        return "UTF-16 (little-endian)"
    if start[:2] == b"\xfe\xff" or zeros[:2] == b"\0\1":
        return "UTF-16 (big-endian)"
    return None


def _is_json(text: bytes) -> bool:
    try:
        _VALUE.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True
