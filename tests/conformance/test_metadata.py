"""The metadata of a resource travels with the packets that are handed out, where the processor asks for it (R29)."""

from __future__ import annotations

from collections.abc import Sequence

from collator.messages import Batch, Run, tasks_of
from collator.packet import Packet, Status
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Ledger
from tests.conformance.steps import PLENTY, drain, packet, packets, process, send
from tests.conformance.store import Store

ASKED = LedgerLimits(hand_out_metadata=True)
ENGLISH, GERMAN = b'{"language":"en"}', '{"language":"d\u00e9"}'.encode()


async def accepted(ledger: Ledger, *given: Packet, capacity: int = PLENTY) -> Sequence[Run]:
    """Give packets, and what is handed out of them."""
    return (await ledger.accept(Batch(given).groups, capacity=capacity)).runs


def told(runs: Sequence[Run]) -> dict[str, bytes | None]:
    """The metadata of each run, by the id of its resource, and that of its packets is the same."""
    assert {(run.resource_id, run.metadata) for run in runs} == {
        (task.key.resource_id, task.metadata) for task in tasks_of(runs)
    }
    return {run.resource_id: run.metadata for run in runs}


async def test_r29_what_is_handed_out_at_once_has_its_metadata(store: Store) -> None:
    ledger = await store.open(ASKED)
    given = [packet("r", 0, metadata=ENGLISH), packet("s", 0), packet("t", 0, metadata=GERMAN), packet("r", 1)]
    assert told(await accepted(ledger, *given)) == {"r": ENGLISH, "s": None, "t": GERMAN}
    assert told(await accepted(ledger, packet("t", 1), packet("s", 1))) == {"s": None, "t": GERMAN}


async def test_r29_what_is_claimed_has_its_metadata(store: Store) -> None:
    ledger = await store.open(ASKED)
    await send(ledger, *packets(40, "r", last=False), packet("r", 40, metadata=ENGLISH))
    await send(ledger, packet("s", 0), packet("t", 0, metadata=GERMAN))
    assert told(await ledger.claim(capacity=PLENTY)) == {"r": ENGLISH, "s": None, "t": GERMAN}


async def test_r29_metadata_that_comes_late_travels_with_what_is_handed_out_from_then_on(store: Store) -> None:
    ledger = await store.open(ASKED)
    assert told(await accepted(ledger, packet("r", 0))) == {"r": None}
    assert told(await accepted(ledger, packet("r", 1, metadata=ENGLISH))) == {"r": ENGLISH}
    await send(ledger, packet("r", 2))
    assert told(await ledger.claim(capacity=PLENTY)) == {"r": ENGLISH}


async def test_r29_what_comes_back_after_a_restart_has_its_metadata(store: Store) -> None:
    ledger = await store.open(ASKED)
    await send(ledger, packet("r", 0, metadata=ENGLISH))
    await ledger.claim(capacity=PLENTY)
    ledger = await store.crash()
    assert told(await ledger.claim(capacity=PLENTY)) == {"r": ENGLISH}


async def test_r29_nothing_travels_that_nobody_asked_for(store: Store) -> None:
    ledger = await store.open()
    assert told(await accepted(ledger, packet("r", 0, metadata=ENGLISH))) == {"r": None}
    await send(ledger, packet("r", 1))
    assert told(await ledger.claim(capacity=PLENTY)) == {"r": None}


async def test_r11_a_new_generation_has_the_metadata_of_its_own(store: Store) -> None:
    ledger = await store.open(ASKED)
    await send(ledger, packet("r", 0, last=True, metadata=ENGLISH))
    await process(ledger)
    await drain(ledger)
    assert await ledger.purge(limit=1_000, resource_id="r")
    assert await send(ledger, packet("r", 0, metadata=GERMAN)) == [Status.ACCEPTED]
    assert told(await ledger.claim(capacity=PLENTY)) == {"r": GERMAN}
