"""`collator move`: the way from one machine to several."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
import msgspec
from rich.console import Console

from collator import logs
from collator.cli.command import command
from collator.cli.exits import Exit
from collator.cli.progress import Bar, Picture, showing
from collator.cli.service_call import json_option, print_answer
from collator.settings import Settings
from collator.text import counted

if TYPE_CHECKING:
    from collator.ledgers.move import Move


@command(
    some=("data_dir", "ledger", "ledger_password_file", "ledger_durability"),
    short="Move a data directory to a ledger on PostgreSQL.",
    examples=(
        ("Move ./collator-data, whose service is stopped", "collator move --ledger postgresql://collator@db/calls"),
        ("Another data directory", "collator move --data-dir calls --ledger postgresql://collator@db/calls"),
        (
            "Then serve what was moved, on any number of machines",
            "collator serve --ledger postgresql://collator@db/calls --webhook http://127.0.0.1:9000/",
        ),
        (
            "Undo a move that was cut off, and serve the directory again",
            "collator move --ledger postgresql://collator@db/calls --give-up",
        ),
    ),
)
@click.option("--give-up", is_flag=True, help="Undo a move that was begun and is not finished.")
@json_option
def move(*, settings: Settings, give_up: bool, as_json: bool) -> Exit:
    """Move what is open or undelivered from a data directory to a ledger on PostgreSQL, for several nodes.

    The service of the directory must be stopped, and no node may use the ledger meanwhile. Packets, outputs, attempts,
    generations, webhook ids and bodies stay the same, so that senders and receivers notice nothing. Resources that
    were delivered leave their ids, so that late packets are still recognised.

    The directory is checked before, and what has arrived is compared with it. A move that was cut off goes on where it
    was when the command is run again; a second run after success changes nothing. From its beginning on nobody serves
    the directory by accident. The file webhook.secret is not moved: give it to the nodes with --webhook-secret-file.

    The exit code is 5 where a service has the directory or the ledger, 8 where the ledger knows one of its resources
    already, 7 where the directory is damaged, and 4 where the database server is away.
    """
    from collator.ledgers.move import Move

    logs.configure_for_library()  # warnings go to the standard error
    making = Move(settings)
    done = asyncio.run(making.give_up() if give_up else _run(making))
    answer = {
        "from": str(settings.data_dir),
        "to": settings.ledger,
        "done": done,
        **({} if give_up else msgspec.structs.asdict(making.extent)),
    }
    print_answer(answer, _undone(done) if give_up else _describe(making, settings, done), as_json=as_json)
    return Exit.OK


async def _run(making: Move) -> bool:
    def look() -> Picture:
        of = making.extent.rows
        return Picture((Bar("copied", making.copied, of), Bar("compared", making.compared, of)), "")

    async with showing(look, Console(stderr=True)):
        return await making.run()


def _describe(making: Move, settings: Settings, done: bool) -> Iterator[str]:  # noqa: FBT001 - its answer
    extent = making.extent
    if not done:
        yield f"nothing is left to move: {settings.data_dir} was moved to {settings.ledger}"
        return
    yield (
        f"moved {counted(extent.resources, 'resource')}, {counted(extent.packets, 'packet')}, "
        f"{counted(extent.outcomes, 'outcome')} and {counted(extent.deliveries, 'webhook')} to {settings.ledger}; "
        f"{counted(extent.remembered, 'id')} of resources that have ended are remembered"
    )
    secret = settings.data_dir / "webhook.secret"
    if secret.exists():
        yield f"now start the nodes: collator serve --ledger {settings.ledger} --webhook-secret-file {secret} …"


def _undone(done: bool) -> Iterator[str]:  # noqa: FBT001 - its answer
    yield "the move is undone; the directory can be served again" if done else "there was no move to give up"
