"""The size of the backlog: the bytes that a ledger stores of what waits (R9). Pure.

A packet counts until it has an outcome, and what its resource takes until that ends. So the payload is not all: a
packet of one byte takes a row, an id is stored with its resource and in indexes, and what is larger than a part of a
page takes more of pages than its size. The numbers are measured (docs/decisions/024): what is stored is hardly ever
more than what is counted, in whatever order it comes.
"""

from __future__ import annotations

from collections.abc import Sequence

PACKET = 56
"""Bytes of a packet beside its payload: its row, and that it waits. Half of it where indexes come in order."""
RESOURCE = 128
"""Bytes of an open resource beside its id and metadata."""
INDEXED = 3
"""An id is in the row of its resource and in two indexes, whose pages are partly empty."""
SMALL = 1024
"""Bytes of a row of which several fit on a page, so that they take what they have."""
HALF_PAGE = 2048


def of_packet(size: int) -> int:
    """The bytes that a packet with a payload of *size* bytes counts."""
    return PACKET + (size if size <= SMALL else _on_pages(size))


def of_packets(sizes: Sequence[int]) -> int:
    """The bytes that packets with payloads of *sizes* bytes count together."""
    if max(sizes, default=0) <= SMALL:
        return PACKET * len(sizes) + sum(sizes)
    return sum([of_packet(size) for size in sizes])


def of_resource(resource_id: str, metadata: bytes | None) -> int:
    """The bytes that an open resource counts, without its packets."""
    name = len(resource_id.encode())
    return INDEXED * name + _on_pages(RESOURCE + name + len(metadata or b""))


def _on_pages(size: int) -> int:
    return size if size <= SMALL else (size + HALF_PAGE - 1) // HALF_PAGE * HALF_PAGE
