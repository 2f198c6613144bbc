"""`collator backup`: a copy of the data directory, while the service runs."""

from __future__ import annotations

from pathlib import Path

import click

from collator.cli.check import as_answer, describe, exit_of
from collator.cli.command import command
from collator.cli.exits import Exit
from collator.cli.service_call import json_option, print_answer
from collator.settings import Settings


@command(
    some=("data_dir",),
    short="Copy the data directory of a running service.",
    examples=(
        ("Copy ./collator-data while its service runs", "collator backup backups/2026-11-24"),
        ("Another data directory", "collator backup backups/today --data-dir calls"),
        (
            "Start a service on the copy, with the settings of the original",
            "collator serve --data-dir backups/2026-11-24 --webhook http://127.0.0.1:9000/ --processor words:lengths",
        ),
    ),
)
@click.argument("target", metavar="DIR", type=click.Path(path_type=Path))
@json_option
def backup(*, settings: Settings, target: Path, as_json: bool) -> Exit:
    """Copy a data directory to the new directory DIR, and check the copy; its service may run meanwhile.

    The copy holds everything that was acknowledged when the command was started, and the secret that signs webhooks.
    A service can be started on it: what waits in it is processed by the --processor that is given then, and what
    was delivered since the copy was made is delivered again, under the same ids. The exit code is 0 only if the copy
    is sound; it is 10 where the database has an older schema, whose copy is whole, and checked no further than
    collator check does.
    """
    from collator.ledgers.sqlite.backup import back_up

    report = back_up(settings.data_dir, target)
    print_answer(as_answer(report), [f"copied {settings.data_dir} to {target}", *describe(report)], as_json=as_json)
    return exit_of(report)
