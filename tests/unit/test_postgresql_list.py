"""Resources divided among several databases: each has its place in the list, and another list is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.conformance.steps import packet, send
from tests.requirements import need
from tests.wait import until

pytest.importorskip("asyncpg")

from collator.cli.children import free_port
from collator.clock import SystemClock
from collator.errors import ConfigError, Unavailable
from collator.ledgers import open_backend
from collator.ledgers.postgresql import ledger, writer
from collator.ledgers.slots import backend
from collator.metrics import Metrics
from collator.packet import Status
from collator.rules.resource import LedgerLimits
from collator.seams.backend import LedgerBackend
from collator.settings import Settings
from tests.conformance.postgresql_harness import PostgresqlHarness
from tests.servers.proxy import Proxy

HERE, AWAY = "d", "a"
"""Resources of the first ledger of two and of the second."""


@pytest.fixture
async def databases(tmp_path: Path) -> AsyncIterator[Sequence[str]]:
    """The addresses of three that are empty."""
    need(PostgresqlHarness.needs() is None, str(PostgresqlHarness.needs()))
    harnesses = [PostgresqlHarness(tmp_path) for _ in range(3)]
    yield [harness.url for harness in harnesses]
    for harness in harnesses:
        await harness.close()


@asynccontextmanager
async def opened(*databases: str) -> AsyncIterator[LedgerBackend]:
    """The list of *databases*, open as by a node."""
    settings = Settings(ledger=";".join(databases), ledger_durability="relaxed")
    found = await open_backend(
        settings, ledger_limits=LedgerLimits(), clock=SystemClock(), route=lambda _: [], stood_still=lambda: 0.0
    )
    try:
        yield found
    finally:
        await found.aclose()


async def refusal(*databases: str) -> str:
    """The words in which the list is refused."""
    with pytest.raises(ConfigError) as error:
        async with opened(*databases):
            pass
    return error.value.detail


async def test_another_list_is_refused_though_nothing_is_stored_yet(databases: Sequence[str]) -> None:
    a, b, c = databases
    async with opened(a, b):
        pass
    assert "ledger 1 of the list: the database is ledger 2 of 2" in await refusal(b, a)
    assert "has it as the only one" in await refusal(a)
    assert "has it as the only one" in await refusal(b)
    assert "has it as ledger 1 of 3" in await refusal(a, b, c)
    assert "name the one that is ledger 2 of 2 there" in await refusal(a, c)
    assert "belongs to another list" in await refusal(c, b)
    async with opened(a, b) as listed:  # which no refusal has changed
        await send(listed.ledger, packet(HERE), packet(AWAY))
    async with opened(c) as alone:  # nor this one, in which nothing is
        await send(alone.ledger, packet(HERE))
    assert "used before it was in a list" in await refusal(c, b)


async def test_a_list_begins_once_all_are_there_and_goes_on_where_one_is_away(
    databases: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "AGAIN", 0.01)
    a, b, c = databases
    host, _, name = b.rpartition("/")
    port = int(host.rpartition(":")[2])
    proxy = await Proxy.start(port)
    behind = f"postgresql://collator@127.0.0.1:{proxy.port}/{name}"
    proxy.target = free_port()
    with pytest.raises(Unavailable, match="ledger 2 of the list"):
        async with opened(a, behind):
            pass
    proxy.target = port
    async with opened(behind, a):  # as that list never began, its databases may have another
        pass
    proxy.target = free_port()
    assert "name all of them, in their order" in await refusal(behind, c, a)
    async with opened(behind, a) as listed:
        listed.watch(Metrics())
        assert listed.health() is None
        assert await send(listed.ledger, packet(HERE), packet(AWAY)) == [Status.REFUSED, Status.ACCEPTED]
        assert (await listed.ledger.counts()).open == 1
        durability = await listed.durability()
        assert durability.store.startswith("ledger 1: away, ledger 2: PostgreSQL")
        assert [words.partition(": ")[0] for words in durability.away] == ["ledger 1"]
        with pytest.raises(Unavailable):
            await listed.ledger.resource(HERE)
        proxy.target = port
        await until(lambda: accepts(listed, HERE), 30)
        assert (await listed.ledger.counts()).open == 2
    await proxy.stop()


async def test_what_concerns_two_does_not_wait_for_the_one_that_is_silent(
    databases: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "STALLED", 0.3)
    monkeypatch.setattr(ledger, "PATIENCE_IN_LIST", 0.5)
    monkeypatch.setattr(writer, "PATIENCE", 600.0)
    a, b, _ = databases
    host, _, name = b.rpartition("/")
    proxy = await Proxy.start(int(host.rpartition(":")[2]))
    async with opened(a, f"postgresql://collator@127.0.0.1:{proxy.port}/{name}") as listed:
        proxy.silent = True
        async with asyncio.timeout(60):
            statuses = await send(listed.ledger, packet(HERE), packet(AWAY))
        assert statuses == [Status.ACCEPTED, Status.REFUSED]
        proxy.cut()
    await proxy.stop()


async def accepts(listed: LedgerBackend, resource_id: str) -> bool:
    """Whether the packet is there."""
    with suppress(Unavailable):
        return await send(listed.ledger, packet(resource_id)) != [Status.REFUSED]
    return False
