"""How numbers and long texts are put into words, wherever a person reads them. Pure."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """*number* of what *noun* names: ``1 packet``, ``2 packets``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


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
