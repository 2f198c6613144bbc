"""The server: whether it keeps what it acknowledges (P1), and is one that the ledger works on."""

from __future__ import annotations

import asyncpg
import msgspec
import structlog

from collator.errors import ConfigError, Unavailable
from collator.ledgers.postgresql.address import Address
from collator.ledgers.postgresql.failures import CONNECTION_ERRORS, in_words

log = structlog.get_logger("collator.ledger")

OLDEST = 15
"""The major version from which on the ledger is tested."""

_UNSAFE = {
    "fsync": ("off", "a crash of the server's machine may destroy the whole database"),
    "full_page_writes": ("off", "a page that is half written at a power cut cannot be repaired"),
    "synchronous_commit": ("off", "the last commits before a crash are lost"),
}


class Found(msgspec.Struct, frozen=True):
    """A server, as it answered."""

    version: str
    number: int
    encoding: str
    settings: dict[str, str]
    """Those of `_UNSAFE`, as they are for this user in this database."""
    standby: str
    """``none``, ``asynchronous`` or ``synchronous``: where commits are besides."""
    recovers: bool
    """Whether it is a standby itself."""


async def examine(address: Address) -> Found:
    """Ask the server at *address*. `Unavailable` where it cannot be asked, `ConfigError` where it lets nobody in."""
    try:
        connection = await address.connect()
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
        raise ConfigError(in_words(error)) from error
    except asyncpg.PostgresError as error:
        raise Unavailable(in_words(error)) from error
    except CONNECTION_ERRORS as error:
        raise Unavailable(in_words(error)) from error
    try:
        return await _ask(connection)
    finally:
        connection.terminate()


def unfit(found: Found) -> list[str]:
    """Return the reasons, in words, why commits on the server that was *found* are not durable."""
    return [
        f"{name} is {found.settings[name]}: {consequence}"
        for name, (wrong, consequence) in _UNSAFE.items()
        if found.settings[name] == wrong
    ]


def refuse_unfit(found: Found, *, relaxed: bool) -> None:
    """Raise `ConfigError` for a server that the ledger cannot use, or that loses what was acknowledged (P1).

    *relaxed*: the latter is only said, in the log.
    """
    if found.number < OLDEST * 10_000:
        raise ConfigError(f"the database server has version {found.version}; Collator needs {OLDEST} or later")
    if found.encoding != "UTF8":
        raise ConfigError(f"the database has the encoding {found.encoding}; create it with encoding UTF8")
    if found.recovers:
        raise ConfigError("the database server is a standby; name the primary, or both: postgresql://HOST,HOST/NAME")
    reasons = unfit(found)
    if reasons and not relaxed:
        raise ConfigError(
            "the database server does not keep what it acknowledges: "
            + "; ".join(reasons)
            + ". Correct it, or accept that with --ledger-durability relaxed"
        )
    for reason in reasons:
        log.warning("acknowledged packets may be lost", reason=reason)


async def _ask(connection: asyncpg.Connection) -> Found:
    names = [*_UNSAFE, "server_version", "server_version_num", "server_encoding"]
    settings = {name: await connection.fetchval("select current_setting($1)", name) for name in names}
    states = await connection.fetch("select distinct sync_state from pg_stat_replication")
    found = {row["sync_state"] for row in states}
    return Found(
        version=settings["server_version"],
        number=int(settings["server_version_num"]),
        encoding=settings["server_encoding"],
        settings={name: settings[name] for name in _UNSAFE},
        standby="synchronous" if found & {"sync", "quorum"} else "asynchronous" if found - {None} else "none",
        recovers=await connection.fetchval("select pg_is_in_recovery()"),
    )
