"""How figures are put into words. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def counted(number: int, noun: str) -> str:
    """*number* of what *noun* names: ``1 packet``, ``2 packets``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def ranges(pairs: Sequence[Sequence[int]]) -> str:
    """Inclusive ranges as people write them: ``3-7, 9``."""
    return ", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in pairs)
