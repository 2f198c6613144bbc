"""`collator check`: a whole look at the database of a stopped service."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec

from collator import logs
from collator.cli.command import command
from collator.cli.exits import Exit
from collator.cli.service_call import json_option, print_answer
from collator.cli.terminal import print_lines
from collator.files import exposure
from collator.settings import Settings
from collator.text import counted

if TYPE_CHECKING:
    from collator.messages.checks import Report

_ONE = MappingProxyType({"resources": "resource", "packets": "packet", "outcomes": "outcome", "deliveries": "delivery"})


@command(
    some=("data_dir", "ledger", "ledger_password_file", "ledger_durability"),
    short="Check the whole database of a stopped service.",
    examples=(
        ("Is all stored data complete and undamaged?", "collator check"),
        ("Check a copy before it is archived", "collator check --data-dir backups/2026-11-24"),
        ("A ledger on PostgreSQL, which may be in use", "collator check --ledger postgresql://collator@db/calls"),
        ("In a script", "collator check --json && echo sound"),
    ),
)
@json_option
def check(*, settings: Settings, as_json: bool) -> Exit:
    """Check the database of a stopped service, whole; nothing is written.

    Every page and index, every checksum of a payload, an output and a body, every row that belongs to another, every
    counter, and whether every value is of its kind. Says what is wrong and where. The exit code is 0 where nothing is,
    7 where something is, 3 where the files may not be read, and 5 where a service has the data directory: then back it
    up, which checks the copy. It is 10 where the schema is older than that of this version: then the pages are looked
    at and the rows counted, and the rest can be checked after a start, which brings it up to date.

    A ledger on PostgreSQL is checked while nodes use it: all of it as one commit left it. It is 3 where the server may
    lose what it acknowledged, unless that is accepted with --ledger-durability relaxed.
    """
    from collator.ledgers import check

    logs.configure_for_library()  # warnings go to the standard error
    report = check(settings)
    for path, secret in {settings.data_dir: False, settings.secret_file: True}.items():
        if path.exists() and (problem := exposure(path, path.stat(), secret=secret)):
            print_lines(f"collator: {path}: {problem}", err=True)
    print_answer(as_answer(report), describe(report), as_json=as_json)
    return exit_of(report)


def exit_of(report: Report) -> Exit:
    """The exit code that *report* ends a command with."""
    if not report.sound:
        return Exit.STORE
    return Exit.OLDER if report.older else Exit.OK


def as_answer(report: Report) -> dict[str, object]:
    """*report* as programs get it; ``sound`` is null where not all was looked at."""
    return {"sound": None if exit_of(report) is Exit.OLDER else report.sound, **msgspec.structs.asdict(report)}


def describe(report: Report) -> Iterator[str]:
    """*report* as a person reads it. Pure."""
    if report.rows:
        amounts = ", ".join(f"{number} {name if number != 1 else _ONE[name]}" for name, number in report.rows.items())
        gone = f"; {report.counts.remembered} deleted, ids remembered" if report.counts.remembered else ""
        yield f"{report.database}  schema {report.schema}: {amounts}{gone}"
    for complaint in report.complaints:
        yield f"{complaint.what} ({counted(complaint.cases, 'case')})"
        yield from (f"  {place}" for place in complaint.where)
        if complaint.cases > len(complaint.where):
            yield f"  and {complaint.cases - len(complaint.where)} more"
    match exit_of(report):
        case Exit.OK:
            yield "sound"
        case Exit.OLDER:
            yield (
                f"its pages are intact; its contents were not checked: this version requires schema {report.newest}, "
                "to which collator serve upgrades it"
            )
        case _:
            yield "DAMAGED"
