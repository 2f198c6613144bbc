"""P1 when the PostgreSQL server is gone for good: its standby, or what a power cut has left on its disk, takes over."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path

import pytest

from tests.harness.disk import Disk, ext4, mounted
from tests.harness.history import Packet, payload_of
from tests.harness.nodes import Nodes, nodes
from tests.harness.note import note
from tests.servers.postgresql import DURABLE, Server
from tests.servers.proxy import Proxy
from tests.wait import until

pytestmark = pytest.mark.faults


@asynccontextmanager
async def failover_pair(tmp_path: Path, names: str) -> AsyncIterator[tuple[Nodes, Proxy]]:
    """Nodes on a server with a standby, and what is between the two; *names* are its `synchronous_standby_names`."""
    primary = await asyncio.to_thread(Server, DURABLE)
    between = await Proxy.start(primary.port)
    standby = await asyncio.to_thread(Server.follower_of, primary, between.port)
    primary.configure({"synchronous_standby_names": f"'{names}'"})
    primary.reload()
    try:
        async with nodes(tmp_path, primary, standby) as it:
            connection = await it.connect()
            await until(lambda: connection.fetchval("select sync_state is not null from pg_stat_replication"))
            await connection.close()
            yield it, between
    finally:
        await between.stop()
        for server in (primary, standby):
            server.remove()


async def fail_over(it: Nodes, between: Proxy) -> None:
    """Kill the primary, and have its standby take over."""
    primary, standby = it.servers
    await asyncio.to_thread(primary.kill)
    between.cut()
    await asyncio.to_thread(standby.promote)
    it.servers.reverse()


async def test_p1_a_failover_to_a_synchronous_standby_loses_nothing(tmp_path: Path) -> None:
    async with failover_pair(tmp_path, "standby") as (it, between):
        with it.sending(80) as sending:
            await it.acknowledged(100)
            await fail_over(it, between)
            await sending
        assert await it.conclude() == []
        assert it.history.lost == set()


async def test_the_test_of_failovers_sees_what_an_asynchronous_standby_loses(tmp_path: Path) -> None:
    async with failover_pair(tmp_path, "") as (it, between):
        with it.sending(80) as sending:
            await it.acknowledged(60)
            between.silent = True
            await it.acknowledged(60)
            await fail_over(it, between)
            await sending
        assert [sentence for sentence in await it.conclude() if sentence.startswith("I1")]
        note(f"{len(it.history.lost)} of {len(it.history.acked)} lost")
        assert it.history.lost


@pytest.mark.cluster
async def test_p1_a_repeat_is_acknowledged_only_once_the_standby_has_it(tmp_path: Path) -> None:
    """A primary that restarts shows what it had not sent to its standby yet: that is no promise to anybody."""
    packet = Packet("late", 0, payload_of("late", 0), last=True)
    async with failover_pair(tmp_path, "standby") as (it, between):
        between.silent = True
        assert await it.offer(0, packet) == (503, True)
        await asyncio.to_thread(it.server.kill)
        await asyncio.to_thread(it.server.start)
        await until(lambda: seen(it, packet), 30)
        assert await it.offer(1, packet) == (503, True)
        await fail_over(it, between)
        await it.send([])
        assert await it.conclude() == []
        assert it.history.lost == set()


async def seen(it: Nodes, packet: Packet) -> bool:
    """Return whether the second node sees the resource of *packet*."""
    return bool((await it.services[1].get(f"/v1/resources/{packet.resource_id}"))[0] == 200)


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory that other users can enter."""
    home = Path(tempfile.mkdtemp(prefix="collator-disk-"))
    home.chmod(0o755)
    yield home
    shutil.rmtree(home)


async def cut_power(it: Nodes, disk: Disk, home: Path) -> Path:
    """End the server as it stands: a copy of its disk, as it is then."""
    await asyncio.to_thread(it.server.kill)
    return await asyncio.to_thread(disk.after_power_cut, home)


@asynccontextmanager
async def until_a_power_cut(tmp_path: Path, home: Path, settings: dict[str, str]) -> AsyncIterator[Nodes]:
    """Nodes whose server loses its power under load, and starts again; before, *settings* are made."""
    with ext4(home, size=2**30) as disk, ExitStack() as stack:
        place = disk.mount / "server"
        place.mkdir()
        server = await asyncio.to_thread(lambda: Server(DURABLE, home=place))
        stack.callback(server.close)  # where the test has failed before: the disk would stay mounted
        async with nodes(tmp_path, server, ledger_durability="relaxed" if settings else "strict") as it:
            if settings:
                await it.weaken(settings)
            with it.sending(80) as sending:
                await it.acknowledged(120)
                copy = await cut_power(it, disk, home)
                with mounted(copy, home / "after") as mount, closing(Server.on(mount / "server")) as again:
                    await asyncio.to_thread(again.start)
                    it.moved(again)
                    await sending
                    yield it


async def test_p1_a_power_cut_of_the_server_loses_nothing(tmp_path: Path, home: Path) -> None:
    async with until_a_power_cut(tmp_path, home, {}) as it:
        assert await it.conclude() == []
        assert it.history.lost == set()


async def test_the_test_of_power_cuts_sees_what_commits_lose_that_are_not_written(tmp_path: Path, home: Path) -> None:
    async with until_a_power_cut(tmp_path, home, {"synchronous_commit": "off", "wal_writer_delay": "10s"}) as it:
        assert [sentence for sentence in await it.conclude() if sentence.startswith("I1")]
        note(f"{len(it.history.lost)} of {len(it.history.acked)} lost")
        assert it.history.lost
