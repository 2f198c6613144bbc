"""Which ledger of a list has what: resources by their ids, and what was handed out by the key of its lease. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from msgspec.structs import replace

from collator.errors import Malformed
from collator.messages import AnyResult, Delivery, Lease, Run


def slot_of(resource_id: str, count: int) -> int:
    """The one of *count* ledgers in which a resource lives. It never changes, as nothing would find the resource."""
    return zlib.crc32(resource_id.encode()) % count


def outer(lease: Lease, slot: int, count: int) -> Lease:
    """*lease* of the ledger *slot*, as all the ledgers together hand it out."""
    return Lease(lease.key * count + slot, lease.token, lease.position)


def inner(lease: Lease, count: int) -> Lease:
    """*lease*, as the ledger that gave it knows it."""
    return Lease(lease.key // count, lease.token, lease.position)


def outer_run(run: Run, slot: int, count: int) -> Run:
    """*run* of the ledger *slot*, as all the ledgers together hand it out."""
    return replace(run, lease=outer(run.lease, slot, count))


def outer_delivery(delivery: Delivery, slot: int, count: int) -> Delivery:
    """*delivery* of the ledger *slot*, as all the ledgers together hand it out."""
    return replace(delivery, lease=outer(delivery.lease, slot, count))


def inner_reports(reports: Iterable[AnyResult], count: int) -> list[AnyResult]:
    """*reports*, as the ledger that gave their leases knows them."""
    return [replace(report, lease=inner(report.lease, count)) for report in reports]


def inner_delivery(delivery: Delivery, count: int) -> Delivery:
    """*delivery*, as the ledger that gave it knows it."""
    return replace(delivery, lease=inner(delivery.lease, count))


def split(slots: Iterable[int]) -> dict[int, list[int]]:
    """The places of the items of each ledger, where *slots* says of each item which it is."""
    places: dict[int, list[int]] = {}
    for place, slot in enumerate(slots):
        places.setdefault(slot, []).append(place)
    return places


def cursor(slot: int, after: str | None, count: int) -> str | None:
    """The cursor of a list that shows one ledger after the other: behind *after* in *slot*, or at the next ledger."""
    if after is not None:
        return f"{slot}.{after}"
    return f"{slot + 1}." if slot + 1 < count else None


def parse_cursor(text: str, count: int) -> tuple[int, str]:
    """The ledger and the place in it at which a list goes on. `Malformed`."""
    if not text:
        return 0, ""
    slot, dot, after = text.partition(".")
    if not dot or not slot.isascii() or not slot.isdecimal() or len(slot) > len(str(count)) or int(slot) >= count:
        raise Malformed("the cursor is not where a page ended")
    return int(slot), after
