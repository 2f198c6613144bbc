"""Receipts on the wire, and as problems. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from collator.packet import Packet, Receipt, Status
from collator.web.limits import KIB
from collator.web.problems import HttpProblem, ProblemType, encode, encode_lines

MAX_REASONS = 256 * KIB
"""Characters of all reasons in one answer: the receipts beyond them have their status alone."""


class WireReceipt(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The receipt for one packet."""

    resource_id: str | int
    index: int
    status: Status
    reason: str | None = None
    retry_after: float | None = None
    """Seconds, where trying again may help."""


class Receipts(msgspec.Struct, frozen=True):
    """The receipts for an array, in its order."""

    receipts: Sequence[WireReceipt]


class ArrayReceipts:
    """The receipts for an array, written part by part: those of 16 MiB of packets take 0.1 s."""

    def __init__(self) -> None:
        """Know of none yet."""
        self._parts: list[bytes] = []
        self._left = MAX_REASONS

    def __bool__(self) -> bool:
        """Return whether there is a receipt."""
        return bool(self._parts)

    def add(self, packets: Sequence[Packet], receipts: Sequence[Receipt]) -> int:
        """Write a receipt for each packet, in order; how many bytes that took."""
        told, self._left = _wire(packets, receipts, self._left)
        self._parts.append(encode(told)[1:-1])
        return len(self._parts[-1])

    def json(self, before: bytes = b"", behind: bytes = b"") -> bytes:
        """All of them, as a JSON array, with something *before* and *behind* it."""
        return b"".join([before, b"[", *_between(b",", self._parts), b"]", behind])


def wire_one(packet: Packet, receipt: Receipt) -> bytes:
    """The receipt for one packet, as a line of JSON."""
    told = WireReceipt(packet.resource_id, packet.index, receipt.status, receipt.reason, receipt.retry_after)
    return encode(told) + b"\n"


def wire_lines(packets: Sequence[Packet], receipts: Sequence[Receipt]) -> bytes:
    """A line of JSON for each packet, in order."""
    told, _ = _wire(packets, receipts, MAX_REASONS)
    return encode_lines(told)


def receipt_problem(packet: Packet, receipt: Receipt) -> HttpProblem:
    """A receipt that is not good news, as a refusal with the receipt's members (`code` is its status word)."""
    return HttpProblem(
        ProblemType[receipt.status.name],
        receipt.reason or ProblemType[receipt.status.name].title,
        retry_after=receipt.retry_after,
        members={"resource_id": packet.resource_id, "index": packet.index},
    )


def _wire(packets: Sequence[Packet], receipts: Sequence[Receipt], left: int) -> tuple[list[WireReceipt], int]:
    """A receipt for each packet, in order, that says which packet it is for; with reasons while there is *left*."""
    told = []
    for packet, receipt in zip(packets, receipts, strict=True):
        reason = receipt.reason
        if reason is not None:
            left -= len(reason)
            reason = reason if left >= 0 else None
        told.append(WireReceipt(packet.resource_id, packet.index, receipt.status, reason, receipt.retry_after))
    return told, left


def _between(comma: bytes, parts: Sequence[bytes]) -> Iterator[bytes]:
    for number, part in enumerate(parts):
        if number:
            yield comma
        yield part
