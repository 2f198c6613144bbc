"""P1 to P5 when the PostgreSQL server is killed, restarted, full or without connections under load."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from tests.cluster.variant import variant
from tests.harness.disk import ext4, filled
from tests.harness.nodes import Nodes, nodes
from tests.harness.note import note
from tests.servers.postgresql import DURABLE, Server
from tests.wait import until

pytestmark = pytest.mark.faults

SIZE = 64 * 1024 * 1024
END_ONE = """
select {verb}(pid) from pg_stat_activity
where datname = current_database() and application_name like 'collator%' order by random() limit 1
"""


async def test_p1_a_server_that_is_killed_again_and_again_loses_nothing(
    tmp_path: Path, postgresql_server: Server
) -> None:
    async with nodes(tmp_path, postgresql_server) as it:
        with it.sending(80) as sending:
            for _ in range(3):
                await it.acknowledged(60)
                await asyncio.to_thread(postgresql_server.kill)
                await asyncio.to_thread(postgresql_server.start)
            await sending
        assert await it.conclude() == []
        assert it.history.lost == set()


async def test_the_test_of_kills_sees_what_a_weaker_server_loses(tmp_path: Path) -> None:
    server = Server(DURABLE)
    async with nodes(tmp_path, server, ledger_durability="relaxed") as it:
        await it.weaken({"synchronous_commit": "off", "wal_writer_delay": "10s"})
        with it.sending(80) as sending:
            await it.acknowledged(60)
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            await sending
        assert [sentence for sentence in await it.conclude() if sentence.startswith("I1")]
        assert it.history.lost
    server.remove()


@pytest.mark.cluster
async def test_p1_a_server_that_is_restarted_in_order_loses_nothing(tmp_path: Path, postgresql_server: Server) -> None:
    async with nodes(tmp_path, postgresql_server) as it:
        with it.sending(80) as sending:
            for _ in range(3):
                await it.acknowledged(60)
                await asyncio.to_thread(postgresql_server.stop, "fast")
                await asyncio.to_thread(postgresql_server.start)
            await sending
        assert await it.conclude() == []
        assert it.history.lost == set()


@pytest.mark.cluster
@pytest.mark.parametrize("verb", ["pg_terminate_backend", "pg_cancel_backend"])
async def test_p1_statements_and_connections_that_are_ended_at_random_lose_nothing(
    tmp_path: Path, postgresql_server: Server, verb: str
) -> None:
    async with nodes(tmp_path, postgresql_server) as it:
        connection = await it.connect()
        ended = 0
        with it.sending(120) as sending:
            while not sending.done() or ended < 40:
                ended += bool(await connection.fetchval(END_ONE.format(verb=verb)))
                before = len(it.history.acked)
                await until(lambda: len(it.history.acked) >= before + 5 or sending.done(), 60)  # noqa: B023 - awaited
            await sending
        await connection.close()
        note(f"{ended} ended: {it.history.answers}")
        assert await it.conclude() == []
        assert it.history.lost == set()


async def test_p5_a_server_without_connections_is_told_of_and_waited_for(
    tmp_path: Path, postgresql_server: Server
) -> None:
    async with nodes(tmp_path, postgresql_server) as it:
        with it.sending(60) as sending:
            await it.acknowledged(40)
            taken = await take_all_connections(postgresql_server, it)
            await until(lambda: not_ready(it, "has no connection left"), 30)
            for connection in taken:
                connection.terminate()
            await sending
        assert await it.conclude() == []
        assert it.history.lost == set()


@pytest.mark.cluster
async def test_the_test_of_connections_sees_a_node_that_acknowledges_what_it_could_not_store(
    tmp_path: Path, postgresql_server: Server
) -> None:
    async with nodes(tmp_path, postgresql_server, source=careless(tmp_path)) as it:
        with it.sending(60) as sending:
            await it.acknowledged(20)
            taken = await take_all_connections(postgresql_server, it)
            for connection in taken:
                connection.terminate()
            await sending
        for node in (0, 1):  # else what is sent once more finds no connection, either
            await until(partial(it.ready, node), 60)
        assert [sentence for sentence in await it.conclude() if sentence.startswith("I1")]
        note(f"{len(it.history.lost)} of {len(it.history.acked)} lost")
        assert it.history.lost


def careless(directory: Path) -> Path:
    """A Collator, in *directory*, that acknowledges packets whose step has failed."""
    failed = "        call.result = copy(error)"
    accepted = "__import__('collator.messages').messages.Accepted(call.size, [], [], call.size, frozenset())"
    careless = f"        call.result = {accepted} if call.verb.echoes else copy(error)"
    return variant(directory, "ledgers/batching/calls.py", failed, careless)


async def take_all_connections(server: Server, it: Nodes) -> list[asyncpg.Connection]:
    """Take each connection that a node of *it* loses, until there is none."""
    taken: list[asyncpg.Connection] = []
    for _ in range(20):
        for proxy in it.proxies:
            proxy.cut()
        try:
            while True:
                taken.append(await asyncpg.connect(f"{server.url}/postgres"))
        except asyncpg.TooManyConnectionsError:
            if await not_ready(it, "has no connection left"):
                break
    return taken


async def not_ready(it: Nodes, reason: str) -> bool:
    """Return whether the first node says that it is not, and the *reason*; in words in its log, too."""
    status, _, problem = await it.services[0].get("/readyz")
    return status == 503 and reason in str(problem) and "not ready" in it.services[0].log()


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory that other users can enter."""
    home = Path(tempfile.mkdtemp(prefix="collator-disk-"))
    home.chmod(0o755)
    yield home
    shutil.rmtree(home)


@asynccontextmanager
async def on_a_small_disk(
    tmp_path: Path, server: Server, mount: Path, *, source: Path | None = None
) -> AsyncIterator[Nodes]:
    """Nodes of the code in *source* whose database is on the disk at *mount*, and the log of the server elsewhere."""
    place = mount / "tables"
    place.mkdir()
    shutil.chown(place, *[server.data.stat().st_uid] * 2)
    connection = await asyncpg.connect(f"{server.url}/postgres")
    await connection.execute(f"create tablespace small location '{place}'")
    await connection.close()
    async with nodes(tmp_path, server, tablespace="small", source=source) as it:
        yield it


async def test_p5_a_full_disk_of_the_server_refuses_what_is_new_until_there_is_space(
    tmp_path: Path, home: Path
) -> None:
    server = Server(DURABLE)
    with ext4(home, size=SIZE) as disk:
        async with on_a_small_disk(tmp_path, server, disk.mount) as it:
            with it.sending(40, padding=20_000) as sending:
                await it.acknowledged(20)
                with filled(disk.mount):
                    await until(lambda: not_ready(it, "is full"), 60)
                    acknowledged = len(it.history.acked)
                    for _ in range(20):
                        assert await not_ready(it, "is full")
                    note(f"{acknowledged} acknowledged: {it.history.answers}")
                await sending
            assert await it.conclude() == []
            assert it.history.lost == set()
        server.remove()


@pytest.mark.cluster
async def test_the_test_of_full_disks_sees_a_node_that_acknowledges_what_found_no_room(
    tmp_path: Path, home: Path
) -> None:
    server = Server(DURABLE)
    with ext4(home, size=SIZE) as disk:
        async with on_a_small_disk(tmp_path, server, disk.mount, source=careless(tmp_path)) as it:
            with it.sending(40, padding=20_000) as sending:
                await it.acknowledged(20)
                with filled(disk.mount):
                    await until(lambda: not_ready(it, "is full"), 60)
                await sending
            assert [sentence for sentence in await it.conclude() if sentence.startswith("I1")]
            note(f"{len(it.history.lost)} of {len(it.history.acked)} lost")
            assert it.history.lost
        server.remove()


@pytest.mark.cluster
async def test_p5_a_server_whose_own_log_finds_no_space_loses_nothing(tmp_path: Path, home: Path) -> None:
    with ext4(home, size=5 * SIZE) as disk:
        place = disk.mount / "server"
        place.mkdir()
        server = Server({**DURABLE, "max_wal_size": "64MB", "min_wal_size": "32MB"}, home=place)
        async with nodes(tmp_path, server) as it:
            with it.sending(600, padding=20_000) as sending:
                await it.acknowledged(20)
                with filled(disk.mount):
                    await until(lambda: not_ready(it, ""), 60)
                    await until(lambda: not server.running() or it.history.answers["storage_full"], 60)
                note(f"it has {'not ' if server.running() else ''}ended by itself; {it.history.answers}")
                if not server.running():
                    await asyncio.to_thread(server.start)
                await sending
            assert await it.conclude() == []
            assert it.history.lost == set()
        server.remove()


@pytest.mark.cluster
async def test_p5_a_snapshot_that_is_held_open_stalls_nothing(tmp_path: Path, postgresql_server: Server) -> None:
    """Nothing that is deleted meanwhile can be removed: not a row of a queue that was ever emptied."""
    async with nodes(tmp_path, postgresql_server, concurrency=32, retention=1) as it:
        seconds = [await timed(it) for _ in range(2)]
        connection = await it.connect()
        async with connection.transaction(isolation="repeatable_read"):
            await connection.fetchval("select count(*) from collator.resource")
            seconds += [await timed(it) for _ in range(8)]
            sizes = await connection.fetch(
                "select relname, n_dead_tup, pg_total_relation_size(relid) as size from pg_stat_user_tables "
                "order by size desc limit 6"
            )
        await connection.close()
        note(f"{[round(one, 1) for one in seconds]} s; {[tuple(row) for row in sizes]}")
        assert max(seconds[-3:]) < 5 * max(seconds[:2])
        assert await it.conclude() == []
        assert it.history.lost == set()


async def timed(it: Nodes) -> float:
    """Send 3,000 packets: the seconds until all is delivered."""
    began = time.monotonic()
    with it.sending(300, longest=20) as sending:
        await sending
    await it.delivered()
    return time.monotonic() - began
