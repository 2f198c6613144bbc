"""The server: the host of the address that takes changes, and whether it keeps what it acknowledges (P1).

Each connection is asked before it is used: behind an address of several hosts, the next may be to another server.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import asyncpg
import msgspec
import structlog

from collator.errors import CollatorError, ConfigError, Unavailable
from collator.ledgers.postgresql.address import Address
from collator.ledgers.postgresql.failures import CONNECTION_ERRORS, translated
from collator.ledgers.postgresql.pooler import refuse_pooled_transactions
from collator.settings.postgresql import Host

log = structlog.get_logger("collator.ledger")

OLDEST = 15
"""The major version from which on the ledger is tested."""

_UNSAFE = {
    "fsync": ("off", "a crash of the server's machine may destroy the whole database"),
    "full_page_writes": ("off", "a page that is half written at a power cut cannot be repaired"),
    "synchronous_commit": ("off", "the last commits before a crash are lost"),
    "data_sync_retry": ("on", "what the disk failed to store may count as stored"),
}
_ASKED = f"""
select current_setting('server_version') as version, current_setting('server_version_num')::int as number,
       current_setting('server_encoding') as encoding, current_setting('synchronous_standby_names') as standbys,
       pg_is_in_recovery() as recovers,
       (select reset_val = 'on' from pg_settings where name = 'default_transaction_read_only') as read_only,
       {", ".join(f"current_setting('{name}', true) as {name}" for name in _UNSAFE)}
"""  # noqa: S608 - names of settings

ConnectTo = Callable[[Host], Awaitable[asyncpg.Connection]]


class ServerState(msgspec.Struct, frozen=True):
    """A server, as it answered."""

    version: str
    number: int
    encoding: str
    settings: dict[str, str | None]
    """Those of `_UNSAFE`, as they are for this user in this database."""
    standbys: str
    """``synchronous_standby_names``: for which commits wait; empty for none."""
    recovers: bool
    """Whether it is a standby itself."""
    read_only: bool
    """Whether it takes no changes, as it is set for all: a connection for looks sets that for itself."""


def unfit(found: ServerState) -> list[str]:
    """Return the reasons, in words, why commits on the server that was *found* are not durable."""
    reasons = [
        f"{name} is {found.settings[name]}: {consequence}"
        for name, (wrong, consequence) in _UNSAFE.items()
        if found.settings[name] == wrong
    ]
    if found.standbys and found.settings["synchronous_commit"] == "local":
        reasons.append(
            "synchronous_commit is local: no commit waits for the synchronous standby, so a failover loses some"
        )
    return reasons


def refuse_unusable(found: ServerState) -> None:
    """Raise `ConfigError` for a server that the ledger cannot use."""
    if found.number < OLDEST * 10_000:
        raise ConfigError(f"the database server has version {found.version}; Collator needs {OLDEST} or later")
    if found.encoding != "UTF8":
        raise ConfigError(f"the database has the encoding {found.encoding}; create it with encoding UTF8")
    if found.recovers:
        raise ConfigError("the database server is a standby; name the primary, or both: postgresql://HOST,HOST/NAME")
    if found.read_only:
        raise ConfigError("the database server takes no changes: default_transaction_read_only is on")


def refuse_unfit(found: ServerState) -> None:
    """Raise `ConfigError` for a server that may lose what was acknowledged (P1)."""
    reasons = unfit(found)
    if reasons:
        raise ConfigError(
            "the database server does not keep what it acknowledges: "
            + "; ".join(reasons)
            + ". Correct it, or accept that with --ledger-durability relaxed"
        )


class Server:
    """The server at an address, whichever of its hosts that is at the moment."""

    def __init__(self, address: Address, *, relaxed: bool = False) -> None:
        """ConnectTo to *address*; *relaxed*: also to a server that may lose what it acknowledged."""
        self.address, self._relaxed = address, relaxed
        self.found: ServerState | None = None
        """The server, as it answered last."""
        self._hosts = [*address.parts.hosts]  # first the one that was the right one last

    async def connect(self) -> asyncpg.Connection:
        """Make a connection for steps. `Unavailable`, whatever the reason: it may be another at the next attempt."""
        return await _at_run_time(self.find(self.address.connect))

    async def connect_reader(self) -> asyncpg.Connection:
        """Make a connection for looks, which changes nothing. `Unavailable`."""
        return await _at_run_time(self.find(self.address.connect_reader))

    async def examine(self) -> ServerState:
        """Ask the server at the start. `Unavailable` where it cannot be asked now, `ConfigError` where it is unfit."""
        connection = await self.find(self.address.connect)
        try:
            await refuse_pooled_transactions(connection, lambda: self.address.connect(self._hosts[0]))
            return await self.look(connection)
        except (*CONNECTION_ERRORS, asyncpg.PostgresError) as error:
            raise translated(error) from error
        finally:
            connection.terminate()

    async def find(self, connect: ConnectTo) -> asyncpg.Connection:
        """*connect* to the first host that takes changes. `Unavailable` if that may pass, otherwise `ConfigError`."""
        refusals: list[CollatorError] = []
        hosts = [*self._hosts]
        for host in hosts:
            try:
                connection = await self._connect(host, connect)
            except CollatorError as error:
                refusals.append(error)
            else:
                self._hosts.sort(key=lambda other: other is not host)
                return connection
        if len(refusals) == 1:
            raise refusals[0]
        words = "; ".join(f"{host}: {error.detail}" for host, error in zip(hosts, refusals, strict=True))
        passes = any(isinstance(error, Unavailable) for error in refusals)
        raise Unavailable(words) if passes else ConfigError(words)

    async def look(self, connection: asyncpg.Connection) -> ServerState:
        """Ask the server at *connection*, and remember its answer, good or not: one in use may have changed."""
        return self._remember(await _ask(connection))

    def risks(self) -> Sequence[str]:
        """The reasons why an acknowledged packet may be lost, as of the last look."""
        return () if self.found is None else unfit(self.found)

    def _remember(self, found: ServerState) -> ServerState:
        if self.found is None or unfit(self.found) != unfit(found):
            for reason in unfit(found):
                log.warning("acknowledged packets may be lost", reason=reason)
        self.found = found
        return found

    async def _connect(self, host: Host, connect: ConnectTo) -> asyncpg.Connection:
        connection = None
        try:
            connection = await connect(host)
            found = await _ask(connection)
            refuse_unusable(found)
            if not self._relaxed:
                refuse_unfit(found)
            self._remember(found)
        except BaseException as error:
            if connection is not None:
                connection.terminate()
            if isinstance(error, (*CONNECTION_ERRORS, asyncpg.PostgresError)):
                raise translated(error) from error
            raise
        return connection


async def _ask(connection: asyncpg.Connection) -> ServerState:
    row = await connection.fetchrow(_ASKED)
    fields = dict(row or {})
    return ServerState(settings={name: fields.pop(name) for name in _UNSAFE}, **fields)


async def _at_run_time(connecting: Awaitable[asyncpg.Connection]) -> asyncpg.Connection:
    try:
        return await connecting
    except ConfigError as error:
        raise Unavailable(error.detail) from error
