"""Who is hinted that a resource has news."""

from __future__ import annotations

import asyncio

from collator.ledgers.hints import Hints
from collator.rules.resource import Snapshot


async def test_all_who_wait_for_what_was_touched_are_hinted_and_nobody_else() -> None:
    hints = Hints()
    with hints.of("r") as first, hints.of("r") as second, hints.of("other") as other:
        hints.wake([[Snapshot(key=1, resource_id="r", generation=b"g")]])
        await asyncio.wait_for(asyncio.gather(first.wait(), second.wait()), 10)
        assert not other.is_set()
