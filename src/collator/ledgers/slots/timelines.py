"""Lists of several ledgers by time: what each of them has is merged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from heapq import merge
from typing import NamedTuple, TypeVar

from collator.errors import Malformed
from collator.ledgers.slots.slots import Slots
from collator.seams.ledger import Ledger

R = TypeVar("R")

_BETWEEN, _END = "~", "."


class Piece(NamedTuple):
    """What one ledger has of a list."""

    items: Sequence[object]
    places: Sequence[str | None]
    """The cursor behind each item."""
    after: str | None


async def merged(
    slots: Slots,
    look: Callable[[Ledger, str], Awaitable[Piece]],
    key: Callable[[R], str],
    *,
    after: str,
    limit: int,
    newest: bool,
) -> tuple[list[R], str | None]:
    """Up to *limit* items of all ledgers by *key*, the *newest* or oldest first, and the cursor behind. `Malformed`.

    A ledger whose *look* found nothing that fits as far as it went is behind the others on the next page.
    """
    cursors = after.split(_BETWEEN) if after else [""] * slots.count
    if len(cursors) != slots.count:
        raise Malformed("the cursor is not where a page ended")
    there = [slot for slot in slots.all if cursors[slot] != _END]
    pieces = {slot: await look(slots.ledger(slot), cursors[slot]) for slot in there}
    rows = [[(item, slot, place) for place, item in enumerate(piece.items)] for slot, piece in pieces.items()]
    chosen = [*merge(*rows, key=lambda row: key(row[0]), reverse=newest)][:limit]  # type: ignore[arg-type]
    for slot, piece in pieces.items():
        taken = [place for _, of, place in chosen if of == slot]
        whole = len(taken) == len(piece.items)
        behind = piece.after if whole else piece.places[taken[-1]] if taken else cursors[slot]
        cursors[slot] = _END if behind is None else behind
    items: list[R] = [item for item, _, _ in chosen]  # type: ignore[misc]
    return items, None if all(cursor == _END for cursor in cursors) else _BETWEEN.join(cursors)
