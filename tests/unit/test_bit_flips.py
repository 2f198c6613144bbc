"""A bit that flips anywhere in a database makes its check and its copy say damage, or nothing, and never break."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from random import Random

import apsw
import pytest
from hypothesis import settings

from collator.errors import Damaged, SchemaTooNew
from collator.ledgers.sqlite.backup import back_up
from collator.ledgers.sqlite.check import check
from collator.ledgers.sqlite.store import DATABASE
from tests.conformance.steps import dead, delivered, due, finish
from tests.unit.test_check import damage, fill, opened

pytestmark = pytest.mark.anyio
FLIPS = 3 * settings().max_examples
"""A search for bugs takes more of them, as it does of examples (tests/conftest.py)."""


async def store(data_dir: Path) -> bytes:
    """A database with packets, outcomes and deliveries in every state, in small pages, so that little of it is free."""
    ledger = await opened(data_dir)
    await finish(ledger, "delivered", [b'{"a": 1.5}'])
    await ledger.record_attempts([delivered(one) for one in await due(ledger)])
    await finish(ledger, "dead", ['"é"'.encode()])
    await ledger.record_attempts([dead(one) for one in await due(ledger)])
    await fill(ledger)
    await ledger.aclose()
    connection = apsw.Connection(str(data_dir / DATABASE))
    connection.pragma("journal_mode", "delete")
    connection.pragma("page_size", 512)
    connection.execute("vacuum")
    connection.close()
    return (data_dir / DATABASE).read_bytes()


async def test_a_flipped_bit_is_told_or_does_no_harm(tmp_path: Path) -> None:
    whole, random = await store(tmp_path), Random(9)
    told = 0
    for _ in range(FLIPS):
        place, bit = random.randrange(len(whole)), random.randrange(8)
        flipped = bytearray(whole)
        flipped[place] ^= 1 << bit
        (tmp_path / DATABASE).write_bytes(flipped)
        told += not sound(tmp_path)
    assert told > FLIPS // 5  # much of the file is free, or a number that could as well be another


def sound(data_dir: Path) -> bool:
    """Whether a check finds nothing wrong; a copy is made too. Raises what neither is meant to raise."""
    with suppress(Damaged, SchemaTooNew):
        back_up(data_dir, data_dir / "copy")
    shutil.rmtree(data_dir / "copy", ignore_errors=True)
    try:
        return check(data_dir / DATABASE).sound
    except SchemaTooNew:
        return False


async def test_a_table_that_is_not_as_it_was_made_is_told(tmp_path: Path) -> None:
    await store(tmp_path)
    damage(tmp_path, "alter table delivery rename column note to nose")
    damage(tmp_path, "drop index resource_idle")
    complaint = check(tmp_path / DATABASE).complaints[0]
    assert (complaint.what, sorted(complaint.where)) == (
        "a table or an index was changed",
        ["delivery", "resource_idle"],
    )
