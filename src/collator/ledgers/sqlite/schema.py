"""The schema of a database, brought up to date step by step, and a newer one refused.

Each step is a file of `migrations/`, in the order of their names, and a transaction of its own: the schema's number
(SQLite's ``user_version``) changes with it. So a step that fails, or is cut off, leaves the schema before it whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files

import apsw
import structlog

from collator.errors import Damaged, SchemaTooNew
from collator.ledgers.sqlite.packer import pack
from collator.messages import webhook_number

log = structlog.get_logger("collator.ledger")

BY_RUNS = 7
"""The schema that has outputs by runs."""
_MIGRATIONS = files("collator.ledgers.sqlite") / "migrations"


def migrate(connection: apsw.Connection) -> int:
    """Bring the schema up to date, each step in a transaction of its own; what it was, 0 for none.

    Raises `SchemaTooNew`, and `Damaged` where it is a database of something else.
    """
    steps = _steps()
    version = connection.pragma("user_version")
    if version == 0 and connection.execute("select count(*) from sqlite_schema").get:
        raise Damaged("the database is not from Collator: it has tables but no schema version")
    if version > len(steps):
        raise SchemaTooNew(
            f"the data directory has schema {version}; this version of Collator supports up to {len(steps)}; "
            "install the newer version, or use another data directory"
        )
    connection.create_scalar_function("webhook_number", _webhook_number, 2, deterministic=True)  # for step 2
    for number, name in enumerate(steps[version:], start=version + 1):
        with _atomic(connection):
            connection.execute((_MIGRATIONS / name).read_text("utf-8"))
            if number == 1:
                connection.execute("insert into ledger values (1, 0, 0, 1, '{}')")
            if number == BY_RUNS:
                pack(connection)
            connection.pragma("user_version", number)
    if 0 < version < len(steps):
        log.info("schema upgraded; earlier versions cannot read it", was=version, now=len(steps))
    return int(version)


def newest() -> int:
    """The schema that this version of Collator works with."""
    return len(_steps())


def _steps() -> list[str]:
    return sorted(path.name for path in _MIGRATIONS.iterdir() if path.name.endswith(".sql"))


@contextmanager
def _atomic(connection: apsw.Connection) -> Iterator[None]:
    """One transaction. apsw's own hides the error behind another where SQLite has rolled back by itself."""
    connection.execute("begin immediate")
    try:
        yield
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise


def _webhook_number(*row: object) -> int:
    resource_id, generation = map(str, row)
    return webhook_number(resource_id, bytes.fromhex(generation))
