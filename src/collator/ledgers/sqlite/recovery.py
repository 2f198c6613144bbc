"""Recovery at the start: packets that were in work when the process died become suspects.

A packet in work has no outcome, is not ready and waits for no time; nothing was written when it was handed out, so
this is how it is found. A clean stop leaves none. What else a start finds is that its limits are not those of the last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import apsw
import msgspec
import structlog

from collator.ledgers.sqlite.claims import take_back
from collator.ledgers.sqlite.leases import HeldRun
from collator.ledgers.sqlite.records import apply_results
from collator.ledgers.sqlite.store import Store, as_json
from collator.rules.resource import INDEX_BITS, INDEX_MASK
from collator.rules.suspects import lethal

log = structlog.get_logger("collator.ledger")

TOGETHER = 100_000
"""Outcomes and resources that are looked through at a time."""

_decode_numbers = msgspec.json.Decoder(list[int]).decode
_decode_lethal = msgspec.json.Decoder(list[tuple[int, int, int, int]]).decode


def find_suspects(store: Store) -> None:
    """Find the suspects of an unclean stop, fail those that died too often, and mark the store as in use."""
    with store.transaction():
        if not store.was_clean:
            found = in_work(store.connection, store.statements)
            alone = len(found) == 1  # who was not may be innocent
            store.run_rows("suspect", found, int(alone), store.ledger_limits.side_by_side)
            _fail_lethal_packets(store)
            store.suspects = store.value("count_suspects")
        store.run("set_clean", 0)
    try:
        with store.transaction():
            _apply_limits(store)
    except apsw.FullError:  # a start needs no more space than it must; the next tries again
        log.warning("changed timeouts apply only to new resources until the next start", reason="the disk is full")


def in_work(connection: apsw.Connection, statements: Mapping[str, str]) -> list[int]:
    """The keys of packets that were in work, of some resources at a time: not all their outcomes are in memory."""

    def look(resource_rows: Sequence[int]) -> list[int]:
        return _decode_numbers(str(connection.execute(statements["in_work"], (as_json(resource_rows),)).get))

    found: list[int] = []
    some: list[int] = []
    number = 0
    for resource_row, outcomes in connection.execute(statements["unfinished_resources"]):
        some.append(resource_row)
        number += 1 + outcomes
        if number >= TOGETHER:
            found += look(some)
            some, number = [], 0
    return found + look(some)


def mark_clean_stop(store: Store) -> None:
    """Make everything that is handed out ready again, and mark the stop as a clean one."""
    with store.transaction():
        store.tick(accepting=True)
        take_back(store, store.packets.numbers())
        store.run("set_clean", 1)


def _apply_limits(store: Store) -> None:
    """Have timeouts that are new, or shorter than at the last start, hold for what is there, too."""
    ledger_limits = store.ledger_limits
    if ledger_limits.idle_timeout is not None:
        if store.value("count_idle_times") < store.counts.open:
            store.run("set_idle_times", ledger_limits.idle_timeout)
        store.run("shorten_idle_times", ledger_limits.idle_timeout, store.uptime)
    if ledger_limits.dead_retention is not None and store.counts.dead:
        store.run("shorten_dead_retention", store.now + ledger_limits.dead_retention)


def _fail_lethal_packets(store: Store) -> None:
    rows = _decode_lethal(store.value("deadly", store.ledger_limits.max_deaths).encode())
    held = [
        HeldRun(key >> INDEX_BITS, 0.0, [key & INDEX_MASK], [size], [max(attempts, deaths) - 1])
        for key, size, attempts, deaths in rows
    ]
    if held:
        failures = [lethal(deaths) for *_, deaths in rows]
        apply_results(store, failures, [(run, [0], [place]) for place, run in enumerate(held)], {})
