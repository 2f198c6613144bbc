"""What operators of PostgreSQL meet: TLS, passwords, roles, poolers, and pairs of servers that fail over."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from collator.errors import ConfigError, Unavailable
from collator.messages import Replication
from collator.packet import Status
from collator.rules.resource import LedgerLimits
from collator.seams.ledger import Ledger
from collator.settings import Settings
from tests.conformance.steps import packet, send
from tests.servers.operator import OperatedServer, certificates, pgbouncer
from tests.wait import until

pytest.importorskip("asyncpg")

import asyncpg

from collator.ledgers.postgresql import address as address_module
from collator.ledgers.postgresql import open_ledger, replication
from collator.ledgers.postgresql.address import address_of
from collator.ledgers.postgresql.server import Server
from collator.ledgers.postgresql.step import Statements, load_statements

SECRET = "correct horse"
ACCESS = """
hostssl all certified 127.0.0.1/32 cert
hostssl all alice 127.0.0.1/32 scram-sha-256
host all collator,plain,other 127.0.0.1/32 trust
"""


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    certificates(folder)
    return folder


@pytest.fixture(scope="module")
def operated(keys: Path) -> Iterator[OperatedServer]:
    server = OperatedServer(access=ACCESS, keys=keys)
    yield server
    server.remove()


async def change(server: OperatedServer, *statements: str, database: str = "postgres") -> None:
    connection = await asyncpg.connect(f"{server.url}/{database}")
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


@pytest.fixture
async def database(operated: OperatedServer, request: pytest.FixtureRequest) -> str:
    """The name of a database of its own."""
    name = f"t{abs(hash(request.node.name))}"
    await change(operated, f"create database {name}")
    return name


def server_of(url: str, **settings: object) -> Server:
    return Server(address_of(Settings(ledger=url, **settings)))  # type: ignore[arg-type]


@asynccontextmanager
async def opened(server: Server) -> AsyncIterator[Ledger]:
    ledger = await open_ledger(server, ledger_limits=LedgerLimits(), route=lambda _: ["default"])
    try:
        yield ledger
    finally:
        await ledger.aclose()


async def told(server: Server) -> tuple[Replication, list[tuple[str, str]]]:
    """The replication of the server in use, and its standbys."""
    connection = await server.connect_reader()
    try:
        look = Statements(connection, load_statements())
        found = await replication.durability(look, await server.look(connection))
    finally:
        connection.terminate()
    return found.replication, [(one.name, one.sync) for one in found.standbys]


async def is_told(server: Server, *expected: object) -> bool:
    return await told(server) == expected


async def test_tls_names_the_server_and_the_user(operated: OperatedServer, keys: Path) -> None:
    place = f"localhost:{operated.port}/postgres?sslmode=verify-full&sslrootcert={keys}/ca.pem"
    await server_of(f"postgresql://collator@{place}").examine()
    own = f"&sslcert={keys}/certified.pem&sslkey={keys}/certified.key"
    await change(operated, "create role certified login")
    await server_of(f"postgresql://certified@{place}{own}").examine()
    with pytest.raises(ConfigError, match=r"refuses the user"):
        await server_of(f"postgresql://certified@{place}").examine()
    with pytest.raises(ConfigError, match=r"certificate of the database server is not accepted: IP address mismatch"):
        await server_of(f"postgresql://collator@{place.replace('localhost', '127.0.0.1')}").examine()
    with pytest.raises(ConfigError, match=r"certificate of the database server is not accepted: .*verify failed|self"):
        await server_of(f"postgresql://collator@{place.replace('ca.pem', 'certified.pem')}").examine()
    with pytest.raises(ConfigError, match=r"refuses the user .*no encryption"):
        await server_of(f"postgresql://alice@127.0.0.1:{operated.port}/postgres?sslmode=disable").examine()


async def test_a_password_is_read_anew_for_each_connection_and_told_to_nobody(
    operated: OperatedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"postgresql://alice@127.0.0.1:{operated.port}/postgres"
    await change(operated, f"create role alice login password '{SECRET}'")
    file = tmp_path / "password"
    file.write_text(f"{SECRET}\n")
    file.chmod(0o600)
    server = server_of(url, ledger_password_file=file)
    await server.examine()
    await change(operated, "alter role alice password 'battery staple'")
    with pytest.raises(Unavailable, match=r"refuses the user") as refused:
        await server.connect()
    assert SECRET not in f"{refused.value!r} {refused.value.__cause__!r} {server!r} {server.address!r}"
    file.write_text("battery staple\n")
    (await server.connect()).terminate()
    listed = tmp_path / "pgpass"
    listed.write_text(f"127.0.0.1:{operated.port}:*:alice:battery staple\n")
    listed.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(listed))
    await server_of(url).examine()


async def test_a_role_needs_the_schema_and_no_more(operated: OperatedServer, database: str) -> None:
    await change(operated, "create role plain login", "create role other login")
    url = f"postgresql://plain@127.0.0.1:{operated.port}/{database}"
    with pytest.raises(ConfigError, match=r"the database does not exist"):  # first, as TLS takes a moment to close
        await server_of(url.replace(database, "nowhere")).examine()
    with pytest.raises(ConfigError, match=r"lacks a right .*permission denied for database"):
        async with opened(server_of(url)):
            pass
    await change(operated, "create schema collator authorization plain", database=database)
    async with opened(server_of(url)) as ledger:
        assert await send(ledger, packet("r", 0)) == [Status.ACCEPTED]
    with pytest.raises(ConfigError, match=r"lacks a right .*let it own the schema collator"):
        async with opened(server_of(url.replace("plain", "other"))):
            pass


async def test_pgbouncer_works_by_session_and_is_refused_otherwise(operated: OperatedServer, database: str) -> None:
    for mode in ("transaction", "statement"):
        with pgbouncer(operated, mode) as port:
            for _ in range(2):  # the second meets what the first left behind
                with pytest.raises(ConfigError, match=r"pooler that shares a session.*set pool_mode = session"):
                    await server_of(f"postgresql://collator@127.0.0.1:{port}/{database}").examine()
    with pgbouncer(operated, "session") as port:
        server = server_of(f"postgresql://collator@127.0.0.1:{port}/{database}")
        await server.examine()
        async with opened(server) as ledger:
            assert await send(ledger, packet("r", 0)) == [Status.ACCEPTED]
            assert (await ledger.counts()).open == 1


async def test_a_pair_of_servers_fails_over_and_loses_nothing() -> None:
    primary = OperatedServer({"synchronous_standby_names": "'two'"})
    standby = OperatedServer.follower_of(primary, primary.port, name="two")
    try:
        server = server_of(f"postgresql://collator@127.0.0.1:{standby.port},127.0.0.1:{primary.port}/postgres")
        await server.examine()  # the primary is the second
        with pytest.raises(ConfigError, match=r"is a standby; name the primary"):
            await server_of(f"{standby.url}/postgres").examine()
        ledger = await open_ledger(server, ledger_limits=LedgerLimits(), route=lambda _: ["default"])
        assert await told(server) == (Replication.SYNCHRONOUS, [("two", "sync")])
        await change(primary, "alter system set synchronous_standby_names = ''", "select pg_reload_conf()")
        await until(lambda: is_told(server, Replication.ASYNCHRONOUS, [("two", "async")]), 30.0)
        await change(primary, "create role plain login", "create database other")
        plain = server_of(f"postgresql://plain@127.0.0.1:{primary.port}/other")
        assert await told(plain) == (Replication.ASYNCHRONOUS, [("two", "")])  # without the rights of pg_monitor
        await change(primary, "alter system reset synchronous_standby_names", "select pg_reload_conf()")
        await until(lambda: is_told(server, Replication.SYNCHRONOUS, [("two", "sync")]), 30.0)
        assert await send(ledger, packet("r", 0)) == [Status.ACCEPTED]
        await asyncio.to_thread(primary.stop)
        with pytest.raises(Unavailable):
            await send(ledger, packet("r", 1))
        with pytest.raises(Unavailable, match=rf"{standby.port}: the database server is a standby"):
            await server.connect()
        await asyncio.to_thread(standby.promote)

        async def sent() -> bool:
            with suppress(Unavailable):
                return await send(ledger, packet("r", 0), packet("r", 1)) is not None
            return False

        await until(sent, 30.0)
        assert (await ledger.resource("r")).received == 2
        assert await told(server) == (Replication.NONE, [])
        await ledger.aclose()
    finally:
        for each in (primary, standby):
            each.remove()


async def test_a_server_that_becomes_unsafe_while_it_is_in_use_is_told_of_and_connected_to_no_more(
    operated: OperatedServer,
) -> None:
    server = server_of(f"{operated.url}/postgres")
    connection = await server.connect()
    try:
        await change(operated, "alter system set full_page_writes = off", "select pg_reload_conf()")

        async def noticed() -> bool:
            look = Statements(connection, load_statements())
            found = await replication.durability(look, await server.look(connection))
            return [risk.partition(":")[0] for risk in found.risks] == ["full_page_writes is off"]

        await until(noticed, 30.0)
        assert len(server.risks()) == 1
        with pytest.raises(Unavailable, match=r"full_page_writes is off: .*--ledger-durability relaxed"):
            await server.connect()
    finally:
        await change(operated, "alter system reset full_page_writes", "select pg_reload_conf()")
        connection.terminate()


async def test_a_host_that_says_nothing_holds_up_no_other(
    operated: OperatedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(address_module, "TIMEOUT", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        server = server_of(f"postgresql://collator@127.0.0.1:{port},127.0.0.1:{operated.port}/postgres")
        await server.examine()
        with pytest.raises(Unavailable, match=r"the database server does not answer"):
            await server_of(f"postgresql://collator@127.0.0.1:{port}/postgres").examine()
