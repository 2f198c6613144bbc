"""The ledgers: each keeps the contract of `collator.seams.ledger` in its own way, behind a backend of its own.

A ledger is imported where it is chosen, and nowhere else: nobody needs the libraries of another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec

from collator.clock import Clock
from collator.errors import ConfigError
from collator.messages.checks import Report
from collator.rules.resource import LedgerLimits
from collator.seams.backend import LedgerBackend, Routing
from collator.settings import Settings

DIVIDER = ";"
"""Between the addresses of several ledgers."""


async def open_backend(
    settings: Settings,
    *,
    ledger_limits: LedgerLimits,
    clock: Clock,
    route: Routing,
    stood_still: Callable[[], float],
) -> LedgerBackend:
    """The ledger that *settings* name, open. Raises `ConfigError`, and what opening it raises.

    *route* gives the endpoints of a resource by its id, *stood_still* the seconds for which nobody could act, so that
    neither leases nor idle timeouts ran.
    """
    match settings.ledger:
        case "sqlite":
            from collator.ledgers.sqlite.backend import SqliteBackend

            return await SqliteBackend.open(
                settings, ledger_limits=ledger_limits, clock=clock, route=route, stood_still=stood_still
            )
        case address if DIVIDER in address:
            if not all(map(is_postgresql, address.split(DIVIDER))):
                raise _unsupported()
            from collator.ledgers.ledger_list import open_list

            return await open_list(
                each_of(settings), ledger_limits=ledger_limits, clock=clock, route=route, stood_still=stood_still
            )
        case address if is_postgresql(address):
            from collator.ledgers.postgresql.backend import PostgresqlBackend

            return await PostgresqlBackend.open(
                settings, ledger_limits=ledger_limits, clock=clock, route=route, stood_still=stood_still
            )
        case _:
            raise _unsupported()


def each_of(settings: Settings) -> Sequence[Settings]:
    """The settings of each ledger of a list."""
    return [replace(settings, ledger=address) for address in settings.ledger.split(DIVIDER)]


def check(settings: Settings) -> Report:
    """Check the whole store that *settings* name. Raises what looking at it raises."""
    if DIVIDER in settings.ledger:
        from collator.ledgers.slots.reports import as_one

        return as_one([check(one) for one in each_of(settings)])
    if settings.ledger == "sqlite":
        from collator.ledgers.sqlite.check import check_directory

        return check_directory(settings.data_dir)
    if not is_postgresql(settings.ledger):
        raise _unsupported()
    from collator.ledgers.postgresql.check import check_database

    return asyncio.run(check_database(settings))


def is_postgresql(ledger: str) -> bool:
    """Return whether *ledger* is the address of a PostgreSQL database. `ConfigError` where its driver is missing."""
    found = ledger.startswith(("postgresql://", "postgres://"))
    if found and find_spec("asyncpg") is None:
        raise ConfigError("--ledger postgresql:// needs asyncpg; install it with: pip install 'collator[postgresql]'")
    return found


def _unsupported() -> ConfigError:
    """The error for a ledger that is none; what stands there may hold a password."""
    return ConfigError("--ledger does not name a supported ledger; use sqlite or postgresql://USER@HOST/DATABASE")
