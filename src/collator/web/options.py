"""Options of queries: each is declared once, read by its declaration, and described from it. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from urllib.parse import parse_qsl

import msgspec

from collator.errors import Malformed
from collator.text import quoted, shown

AwareDatetime = Annotated[datetime, msgspec.Meta(tz=True)]
"""A moment with its offset, as in RFC 3339."""

_DIGITS = 18  # far beyond any number here, and quick to read
_NUMBER = re.compile(r"[0-9]{1,18}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?")  # as JSON has it, but no negative one
_FLAGS = {"true": True, "false": False}.get


class QueryOption(msgspec.Struct, frozen=True, kw_only=True):
    """One option."""

    name: str
    says: str
    """What it is: one sentence."""
    read: Callable[[str, str], Any]
    """From its value and its name. Raises `Malformed`."""
    schema: Mapping[str, Any]
    """JSON Schema of what `read` takes."""
    default: Any = None


def number(name: str, says: str, *, least: int, most: int, default: int | None = None) -> QueryOption:
    """A whole number from *least* to *most*."""

    def read(text: str, name: str) -> int:
        if not (text.isascii() and text.isdigit()):
            raise Malformed(f"{name}: {quoted(text)} is not a whole number")
        if len(text) > _DIGITS or not least <= int(text) <= most:
            raise Malformed(f"{name}: {shown(text)} is not between {least} and {most}")
        return int(text)

    schema = {"type": "integer", "minimum": least, "maximum": most}
    return QueryOption(name=name, says=says, read=read, schema=schema, default=default)


def seconds(name: str, says: str, *, most: int) -> QueryOption:
    """A number of seconds from 0 to *most*, which may have a fraction."""

    def read(text: str, name: str) -> float:
        if not _NUMBER.fullmatch(text) or float(text) > most:
            raise Malformed(f"{name}: {quoted(text)} is not a number of seconds between 0 and {most}")
        return float(text)

    schema = {"type": "number", "minimum": 0, "maximum": most}
    return QueryOption(name=name, says=says, read=read, schema=schema)


def flag(name: str, says: str) -> QueryOption:
    """``true`` or ``false``, which is the default."""
    return QueryOption(name=name, says=says, read=_flag, schema={"type": "boolean"}, default=False)


def word(name: str, says: str, of: type[StrEnum], *, default: StrEnum | None = None) -> QueryOption:
    """One word of an enumeration."""

    def read(text: str, name: str) -> StrEnum:
        if text not in [*of]:
            raise Malformed(f"{name}: {quoted(text)} is not one of {', '.join(of)}")
        return of(text)

    return QueryOption(name=name, says=says, read=read, schema={"type": "string", "enum": [*of]}, default=default)


def words(name: str, says: str, of: type[StrEnum]) -> QueryOption:
    """One or more words of an enumeration, with commas between them."""

    def read(text: str, name: str) -> Sequence[StrEnum]:
        for one in (found := text.split(",")):
            if one not in [*of]:
                raise Malformed(f"{name}: {quoted(one)} is not one of {', '.join(of)}")
        return [of(one) for one in found]

    choice = f"({'|'.join(of)})"
    return QueryOption(name=name, says=says, read=read, schema={"type": "string", "pattern": f"^{choice}(,{choice})*$"})


def text(name: str, says: str, *, default: str | None = "") -> QueryOption:
    """Any text."""
    return QueryOption(name=name, says=says, read=lambda value, _: value, schema={"type": "string"}, default=default)


def moment(name: str, says: str) -> QueryOption:
    """A moment, as in RFC 3339; its value is in seconds since 1970."""
    return QueryOption(name=name, says=says, read=_moment, schema={"type": "string", "format": "date-time"})


def read_query(options: Sequence[QueryOption], query: bytes) -> dict[str, Any]:
    """The value of each of *options* in *query*, or its default. Raises `Malformed`, for what is none of them too."""
    values = {option.name: option.default for option in options}
    if not query:
        return values
    by_name = {option.name: option for option in options}
    for name, value in _pairs(query, by_name):
        values[name] = by_name[name].read(value, name)
    return values


def _pairs(query: bytes, allowed: Mapping[str, QueryOption]) -> list[tuple[str, str]]:
    # Where there are more than options, one is there twice or is none: that is found among the first ones.
    first = b"&".join([pair for pair in query.split(b"&") if pair][: len(allowed) + 1])
    try:
        pairs = parse_qsl(first.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise Malformed("the query is not percent-encoded UTF-8") from None
    for name, _ in pairs:
        if name not in allowed:
            there = f"; known options: {', '.join(allowed)}" if allowed else ""
            raise Malformed(f"unknown option {quoted(name)}{there}")
    if len(pairs) != len(dict(pairs)):
        raise Malformed("an option occurs twice")
    return pairs


def _moment(text: str, name: str) -> float:
    try:
        return msgspec.convert(text, AwareDatetime).timestamp()
    except (msgspec.ValidationError, OverflowError):
        raise Malformed(f"{name}: {quoted(text)} is not a time; write it as 2026-11-24T02:05:00Z") from None


def _flag(text: str, name: str) -> bool:
    value = _FLAGS(text)
    if value is None:
        raise Malformed(f"{name}: {quoted(text)} is neither true nor false")
    return value
