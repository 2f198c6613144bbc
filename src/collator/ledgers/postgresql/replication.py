"""Replication: where commits are, besides the server in use."""

from __future__ import annotations

from collator.ledgers.postgresql.server import ServerState, unfit
from collator.ledgers.postgresql.step import Statements
from collator.messages import Durability, Replication, Standby

SHOWN = 20
"""Standbys of which it is told."""


async def durability(look: Statements, found: ServerState) -> Durability:
    """The durability of commits on the server that was *found*.

    Which standby is synchronous is told to roles with the rights of pg_monitor; others see that there is one.
    """
    standbys = [
        Standby(name=name or "", sync=sync or "", lag_seconds=seconds, lag_bytes=size)
        for name, sync, seconds, size in await look.rows("standbys", SHOWN)
    ]
    return Durability(
        store=f"PostgreSQL {found.version}",
        risks=unfit(found),
        replication=_replication(
            found, waiting=found.settings["synchronous_commit"] not in {"off", "local"}, some=bool(standbys)
        ),
        standbys=standbys,
    )


def _replication(found: ServerState, *, waiting: bool, some: bool) -> Replication:
    if found.standbys and waiting:
        return Replication.SYNCHRONOUS  # also while none is there: then commits wait for one
    return Replication.ASYNCHRONOUS if some else Replication.NONE
