"""Batches of packets, and what the answers to them mean. Pure: no network, no time.

Packets go out as one JSON array, and the answer holds one receipt for each, in place, whatever its status (R9): only
those that were refused go out again. An array that is refused whole (413, 422) is cut in half until the packet that
does not fit stands alone, so that only the culprit is rejected.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from collator.infinity import refuse_infinite
from collator.packet import Status
from collator.text import quoted, shown

MAX_ERRORS = 5
"""So often a packet is sent again that the store could not take, while it takes others."""

Sendable = Mapping[str, Any] | bytes
"""A packet: a mapping with the keys of the contract, or JSON text, sent as it is; a blank text is none."""
Packets = Iterable[Sendable] | AsyncIterable[Sendable]


@dataclass
class Item:
    """One packet on its way."""

    number: int
    """Its place in what was given, from 1."""
    line: bytes
    """JSON."""
    errors: int = 0
    """How often the store could not take it."""


@dataclass(frozen=True)
class Rejection:
    """A packet that was not taken, and will never be."""

    number: int
    """Its place in what was given, from 1."""
    reason: str
    line: bytes = b""
    """The packet as JSON; empty where it could not be written as JSON, or is not kept (`Tally.keep_lines`)."""
    sent: bool = True
    """Whether it was asked for: false where it could not be written as JSON."""

    def __str__(self) -> str:
        """One line for a person."""
        return f"packet {self.number}: {self.reason}"


@dataclass
class Tally:
    """The progress of a `send`; may be read while it runs."""

    sent: int = 0
    """Packets that left at least once."""
    acknowledged: int = 0
    """Packets that are durable at the service, those that were there already among them."""
    duplicates: int = 0
    """Of these, how many were there already."""
    rejected: list[Rejection] = field(default_factory=list)
    resources: dict[str, None] = field(default_factory=dict, repr=False)
    """The ids of which a packet was acknowledged, in that order."""
    keep_lines: bool = True
    """Whether those in `rejected` are kept with their text, for a sender that mends them: each may have a megabyte."""
    trouble: str = ""
    """Why nothing gets through at the moment; empty while packets get through."""


class ReceiptItem(msgspec.Struct, frozen=True):
    """A receipt as the service writes it."""

    resource_id: str
    index: int
    status: Status
    reason: str = ""
    retry_after: float | None = None


class ReceiptList(msgspec.Struct, frozen=True):
    """The answer to an array."""

    receipts: list[ReceiptItem]


_PLACE = re.compile(r"^packet 0: | - at `\$\[0\]`$")
_raw = msgspec.json.Decoder(msgspec.Raw)
_receipts = msgspec.json.Decoder(ReceiptList)
_encode = msgspec.json.Encoder().encode


def encode(packet: Sendable) -> bytes:
    """*packet* as one JSON value. Raises `ValueError` in words where it is none."""
    try:
        if not isinstance(packet, bytes):
            line = _encode(packet)
            refuse_infinite(packet, line)
            return line
        _raw.decode(packet)
        packet.decode()  # the decoder lets other bytes pass within texts
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {shown(error)}") from None
    return packet.strip()


def join(items: Sequence[Item]) -> bytes:
    """The body of the request that carries *items*."""
    return b"[" + b",".join([item.line for item in items]) + b"]"


def count(items: Sequence[Item], answer: bytes, tally: Tally) -> tuple[list[Item], float]:
    """Enter the receipts of *answer* in *tally*; what must be sent again, and after how many seconds.

    Raises `ValueError` where the answer is not one receipt for each of *items*.
    """
    receipts = _receipts.decode(answer).receipts
    if len(receipts) != len(items):
        raise ValueError(f"{len(receipts)} receipts for {len(items)} packets")
    again: list[Item] = []
    delay = 0.0
    for item, receipt in zip(items, receipts, strict=True):
        if _enter(item, receipt, tally):
            again.append(item)
            delay = max(delay, receipt.retry_after or 0.0)
    return again, delay


def has_receipts(answer: bytes) -> bool:
    """Return whether *answer* has receipts."""
    try:
        return bool(_receipts.decode(answer).receipts)
    except msgspec.MsgspecError:
        return False


def reject(items: Iterable[Item], reason: str, tally: Tally) -> None:
    """Enter *items* in *tally* as rejected for *reason*."""
    tally.rejected.extend(Rejection(one.number, reason, one.line if tally.keep_lines else b"") for one in items)


def of_one(reason: str) -> str:
    """*reason*, which an array of one packet was refused for, without the place in the array, which nobody chose."""
    return _PLACE.sub("", reason).replace("`$[0]", "`$")


def _enter(item: Item, receipt: ReceiptItem, tally: Tally) -> bool:
    """Enter *receipt* in *tally*; whether *item* must be sent again."""
    match receipt.status:
        case Status.ACCEPTED | Status.DUPLICATE:
            tally.acknowledged += 1
            tally.duplicates += receipt.status is Status.DUPLICATE
            tally.resources[receipt.resource_id] = None
            return False
        case Status.REFUSED:
            tally.trouble = f"refused: {shown(receipt.reason)}"
            return True
        case Status.ERROR if item.errors < MAX_ERRORS:
            item.errors += 1
            return True
        case _:
            reason = f"{receipt.status}: {shown(receipt.reason)} ({quoted(receipt.resource_id)}, index {receipt.index})"
            reject([item], reason, tally)
            return False
