"""The place of a store in a list of several, by which resources are divided: it is stored, and never another.

Where a list came in another order, or had one more or one less, or another store in the place of one, most resources
would not be found where they live, and would be opened anew elsewhere. So each store of a list says which place it has.
Once all of a list have said so it is *complete*: from then on it takes in no store that it does not know. Until then a
store in which nothing is may be given another place, as who names it mistakenly should not have to make a new one.
"""

from __future__ import annotations

from secrets import token_hex

import asyncpg
import msgspec
from msgspec.structs import replace

from collator.errors import ConfigError


class Division(msgspec.Struct, frozen=True):
    """A place in a list."""

    number: int
    """From 0."""
    count: int
    """Stores in the list; 1 for one that is no part of any."""
    name: str = ""
    """That of the list, which its first store gives it; empty where it has none yet."""
    complete: bool = False
    """Whether all stores of the list have their places."""


ALONE = Division(0, 1)

_STORED = "select number, count, name, complete from division"
_USED = """
select exists (select from resource) or exists (select from tombstone) or exists (select from node)
  or exists (select from move)
"""
_STORE = """
insert into division values (1, $1, $2, $3, false)
on conflict (one) do update set number = excluded.number, count = excluded.count, name = excluded.name
"""


async def settle(connection: asyncpg.Connection, wanted: Division) -> Division:
    """Take the place that is *wanted*, or see that it is the one that was taken. `ConfigError`.

    Where *wanted* is of a list that is complete, only what knows so is of it.
    """
    async with connection.transaction():
        await connection.execute("lock table division in exclusive mode")
        row = await connection.fetchrow(_STORED)
        found = ALONE if row is None else Division(*row)
        if found.number == wanted.number and found.count == wanted.count and wanted.name in {"", found.name}:
            return found
        if found.complete or await connection.fetchval(_USED):
            raise ConfigError(_another(found, wanted))
        if wanted.complete:
            raise ConfigError(
                f"the database is new to a list of --ledger that is in use; name the one that is {_place(wanted)} there"
            )
        if wanted.count == 1:
            await connection.execute("delete from division")
            return ALONE
        taken = replace(wanted, name=wanted.name or token_hex(8))
        await connection.execute(_STORE, taken.number, taken.count, taken.name)
        return taken


async def complete(connection: asyncpg.Connection, taken: Division) -> None:
    """Make the place that was *taken* final, as all of the list have theirs. `ConfigError` where it is another now."""
    done = await connection.execute(
        "update division set complete = true where (number, count, name) = ($1, $2, $3)",
        taken.number, taken.count, taken.name,
    )  # fmt: skip
    if done != "UPDATE 1":
        raise ConfigError("the database was given another place by another node; give all nodes the same --ledger")


def _place(division: Division) -> str:
    return f"ledger {division.number + 1} of {division.count}"


def _another(found: Division, wanted: Division) -> str:
    if found.count == 1:
        return (
            "the database was used before it was in a list of --ledger, which would not find its resources there; "
            "begin the list with empty databases"
        )
    if (found.number, found.count) != (wanted.number, wanted.count):
        place = _place(wanted) if wanted.count > 1 else "the only one"
        return f"the database is {_place(found)}, and --ledger has it as {place}; name all of them, in their order"
    return "the database belongs to another list of --ledger; name the ledgers of one list, all of them"
