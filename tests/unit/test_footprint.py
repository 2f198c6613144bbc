"""What is stored before it is processed is counted as backlog: each kind of it, beside what the database grows by."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import pytest
from msgspec import Raw

from collator.ledgers.sqlite import SqliteLedger, open_ledger
from collator.ledgers.sqlite.check import check_directory
from collator.messages import Batch
from collator.packet import Packet
from collator.rules.footprint import of_packet, of_resource
from collator.rules.resource import LedgerLimits
from collator.testing import ManualClock

PAGES = 256 * 1024
"""Bytes that a database of any size may grow by beside: pages that are not full yet."""


def names(count: int, length: int = 12) -> list[str]:
    """Ids in no order."""
    chosen = random.Random(1)
    return [f"{chosen.getrandbits(48):012x}" + "x" * (length - 12) for _ in range(count)]


def of_one(count: int, size: int, order: Callable[[list[int]], list[int]] = list) -> list[Packet]:
    """A resource of *count* packets with payloads of *size* bytes."""
    return [Packet("r", index, Raw(b"1" * size)) for index in order([*range(count)])]


def shuffled(indexes: list[int]) -> list[int]:
    random.Random(2).shuffle(indexes)
    return indexes


def with_metadata(count: int, size: int) -> list[Packet]:
    """Resources with *size* bytes of metadata and nearly nothing else."""
    return [Packet(name, 0, Raw(b"1"), metadata=Raw(b'{"a":"%s"}' % (b"x" * size))) for name in names(count)]


MEMBERS: Mapping[str, Sequence[Packet]] = MappingProxyType(
    {
        "tiny payloads": of_one(20_000, 1),
        "tiny payloads in reverse": of_one(20_000, 1, lambda indexes: indexes[::-1]),
        "tiny payloads in no order": of_one(20_000, 1, shuffled),
        "payloads of 45 bytes": of_one(10_000, 45, shuffled),
        "payloads of which one fits on a page": of_one(500, 2100),
        "payloads of more than a page": of_one(500, 6200),
        "large payloads": of_one(20, 300_000),
        "many resources": [Packet(name, 0, Raw(b"1")) for name in names(5000)],
        "many resources in order": [Packet(f"r{number:06}", 0, Raw(b"1")) for number in range(5000)],
        "long ids": [Packet(name, 0, Raw(b"1")) for name in names(2000, 255)],
        "small metadata": with_metadata(1000, 500),
        "metadata of which one fits on a page": with_metadata(500, 2000),
        "large metadata": with_metadata(500, 4000),
    }
)


@pytest.mark.parametrize("member", [*MEMBERS])
async def test_the_database_grows_by_what_is_counted(tmp_path: Path, member: str) -> None:
    async def opened() -> SqliteLedger:
        return await open_ledger(
            tmp_path, ledger_limits=LedgerLimits(), clock=ManualClock(), route=lambda _: [], synchronous="off"
        )

    await (await opened()).aclose()  # and what the migrations have written to the log goes with it
    empty, given = size(tmp_path), MEMBERS[member]
    ledger = await opened()
    for first in range(0, len(given), 1000):
        await ledger.accept(Batch(given[first : first + 1000]).groups, capacity=0)
    counts = await ledger.counts()
    assert counts.waiting == len(given)
    await ledger.aclose()
    growth = size(tmp_path) - empty
    assert growth <= 1.1 * counts.backlog + PAGES
    assert counts.backlog <= 3 * growth, "nobody is refused for what is not there"
    assert check_directory(tmp_path).sound


async def test_what_is_not_accepted_is_neither_stored_nor_counted(tmp_path: Path) -> None:
    ledger = await open_ledger(
        tmp_path, ledger_limits=LedgerLimits(), clock=ManualClock(), route=lambda _: [], synchronous="off"
    )
    given = of_one(2000, 45)
    await ledger.accept(Batch(given).groups, capacity=0)
    counted = (await ledger.counts()).backlog
    assert counted == 2000 * of_packet(45) + of_resource("r", None)
    before = ledger._store.connection.pragma("page_count")
    other = [Packet("r", packet.index, Raw(b"2" * 45), metadata=Raw(b"x" * 4000)) for packet in given]
    for again in (given, other):
        await ledger.accept(Batch(again).groups, capacity=0)
    assert (await ledger.counts()).backlog == counted
    assert ledger._store.connection.pragma("page_count") == before
    await ledger.aclose()


async def test_a_limit_of_64_kib_bounds_what_metadata_takes(tmp_path: Path) -> None:
    """Ids and metadata are no way round it: 79 MB were stored."""
    ledger_limits = LedgerLimits(max_backlog=64 * 1024)
    ledger = await open_ledger(
        tmp_path, ledger_limits=ledger_limits, clock=ManualClock(), route=lambda _: [], synchronous="off"
    )
    empty = size(tmp_path)
    for first in range(0, 5000, 500):
        await ledger.accept(Batch([*with_metadata(5000, 4000)[first : first + 500]]).groups, capacity=0)
    await ledger.aclose()
    assert size(tmp_path) - empty <= 1.1 * ledger_limits.max_backlog + PAGES


def size(data_dir: Path) -> int:
    """Bytes of all files in *data_dir*."""
    return sum(path.stat().st_size for path in data_dir.iterdir() if not path.name.endswith("-shm"))
