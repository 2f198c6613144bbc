"""The schema of the store, brought up to date step by step, and a newer one refused.

Each step is a file of `migrations/`, in the order of their names. All that are missing are one transaction, under a
lock, so that of several nodes that start at once one migrates, and the others find it done.
"""

from __future__ import annotations

from importlib.resources import files

import asyncpg
import structlog

from collator.errors import SchemaTooNew

log = structlog.get_logger("collator.ledger")

SCHEMA = "collator"
"""Where the tables are, in the database."""
_MIGRATIONS = files("collator.ledgers.postgresql") / "migrations"
_LOCK = 0x636F6C6C61746F72
"""Of the advisory lock: "collator" in ASCII."""


async def migrate(connection: asyncpg.Connection) -> int:
    """Bring the schema up to date; what it was, 0 for none. `SchemaTooNew`."""
    steps = _steps()
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
        version = await _version(connection)
        if version > len(steps):
            raise SchemaTooNew(
                f"the database has schema {version}; this version of Collator supports up to {len(steps)}; "
                "install the newer version, or use another database"
            )
        for name in steps[version:]:
            await connection.execute((_MIGRATIONS / name).read_text("utf-8"))
        if version < len(steps):
            await connection.execute("update version set number = $1", len(steps))
    if 0 < version < len(steps):
        log.info("schema upgraded; earlier versions cannot read it", was=version, now=len(steps))
    return version


def newest() -> int:
    """The schema that this version of Collator works with."""
    return len(_steps())


def _steps() -> list[str]:
    return sorted(path.name for path in _MIGRATIONS.iterdir() if path.name.endswith(".sql"))


async def _version(connection: asyncpg.Connection) -> int:
    if not await connection.fetchval("select exists (select from pg_namespace where nspname = $1)", SCHEMA):
        await connection.execute(f"create schema {SCHEMA}")
    if await connection.fetchval("select to_regclass('version')") is None:
        await connection.execute("create table version (number int not null)")
        await connection.execute("insert into version values (0)")
    return int(await connection.fetchval("select number from version"))
