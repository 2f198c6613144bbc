"""What a test wants to be known beside its failure: seeds, moments, figures. With -s pytest shows it always."""

from __future__ import annotations


def note(text: str) -> None:
    """Put *text* on record."""
    print(text)  # noqa: T201 - captured by pytest
