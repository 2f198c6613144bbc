"""How numbers are put into words, wherever a person reads them. Pure."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """*number* of what *noun* names: ``1 packet``, ``2 packets``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")
