"""How numbers and the texts of others are put into words, wherever a person reads them. Pure.

What somebody else wrote (a sender, a receiver, a processor, another service) enters a message of ours by `shown` or
`quoted` alone: at most `SHOWN` characters of it, all printable, on one line.
"""

from __future__ import annotations

SHOWN = 200
"""Characters of what somebody else wrote, wherever a message repeats it."""


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
    """*text* on one line, with escapes for what a terminal would obey, and for what nobody could see."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


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
