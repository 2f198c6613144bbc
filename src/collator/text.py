"""Wording of numbers and of the texts of others, wherever a person reads them. Pure.

What somebody else wrote (a sender, a receiver, a processor, another service) enters a message of ours by `shown` or
`quoted` alone: at most `SHOWN` characters of it, all printable, on one line.
"""

from __future__ import annotations

import re

SHOWN = 200
"""Characters of what somebody else wrote, wherever a message repeats it."""

_CONTROLS = "\x7f-\x9f"
"""Beside those below the space, which stand in no text of JSON."""
_INVISIBLE = "\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
_MARKS = "\ufff0-\ufffb\ud800-\udfff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f"
_JOINERS = "\u200c\u200d"
_HIDDEN = re.compile(f"[{_CONTROLS}{_INVISIBLE}{_MARKS}]")
_HIDDEN_OR_JOINING = re.compile(f"[{_CONTROLS}{_INVISIBLE}{_MARKS}{_JOINERS}]")


def counted(number: int, noun: str) -> str:
    """*number* of what *noun* names: ``1 packet``, ``2 packets``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def shown(value: object, most: int = SHOWN) -> str:
    """*value*, a text, bytes or a number of somebody else's: *most* characters of it, printable and on one line."""
    return shorten(escaped(_beginning_and_end(value, most)), most)


def quoted(value: object, most: int = SHOWN) -> str:
    """As `shown`, in quotes, as Python writes a text."""
    return shorten(repr(_beginning_and_end(value, most)), most)


def escaped(text: str) -> str:
    """*text* on one line, with escapes for control characters of a terminal, and for what is invisible."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def escaped_json(text: str, *, joiners: bool = False) -> str:
    """*text*, which is JSON, as the same value, with its escapes for control characters and what is invisible.

    With *joiners* the two invisible characters stay that scripts and pictures are written with.
    """
    return (_HIDDEN if joiners else _HIDDEN_OR_JOINING).sub(_json_escape, text)


def one_line(text: str, most: int) -> str:
    """The beginning of *text*, at most *most* characters of it, printable and on one line."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= most else line[: most - 1] + "…"


def shorten(text: str, most: int) -> str:
    """*text* in *most* characters, where it has more without its middle: what is wrong stands first, where last."""
    if len(text) <= most:
        return text
    end = most // 4
    return f"{text[: most - end - 1]}…{text[-end:]}"


def _beginning_and_end(value: object, most: int) -> str:
    """*value* as text, cut before anything is made of it: it may have megabytes."""
    if isinstance(value, bytes):
        value = value if len(value) <= 2 * most else value[:most] + b"..." + value[-most:]
        return shorten(value.decode("utf-8", "backslashreplace"), most)
    return shorten(str(value), most)


def _json_escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{int.from_bytes(units[at : at + 2]):04x}" for at in range(0, len(units), 2))
