"""How figures are put into words. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def counted(number: int, noun: str) -> str:
    """*number* of what *noun* names: ``1 packet``, ``2 packets``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def ranges(pairs: Sequence[Sequence[int]]) -> str:
    """Inclusive ranges as people write them: ``3-7, 9``."""
    return ", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in pairs)


def sized(amount: int) -> str:
    """*amount* of bytes as people write it: ``1.5 MiB``."""
    units = ("bytes", "KiB", "MiB", "GiB", "TiB")
    power = min(max(amount.bit_length() - 1, 0) // 10, len(units) - 1)
    return f"{amount / 1024**power:.{1 if power else 0}f} {units[power]}"
