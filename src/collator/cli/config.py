"""`collator config`: every setting as it holds, and where it comes from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

import click

from collator.cli.command import command
from collator.cli.service_call import json_option, print_answer
from collator.cli.terminal import print_lines
from collator.settings import Effective, RawValue, Scope, effective, gather, hidden, sample


def _gathered(flags: Mapping[str, str | None], *, config: str | None) -> Mapping[str, RawValue]:
    return gather(flags, os.environ, config)


@command(
    Scope.SERVICE,
    Scope.CLIENT,
    read=_gathered,
    examples=(
        ("The settings of a service that is started here", "collator config"),
        ("With another file and one more flag", "collator config --config production.toml --port 9001"),
        ("A file with every setting, to begin with", "collator config --sample > collator.toml"),
        ("For a program", "collator config --json"),
    ),
)
@click.option("--sample", "as_sample", is_flag=True, help="Print a file with every setting and its default.")
@json_option
def config(*, settings: Mapping[str, RawValue], as_sample: bool, as_json: bool) -> None:
    """Print every setting as it holds, and where it comes from.

    Flags count before the environment, the environment before the file, and the file before the defaults. A relative
    path in the file starts where the file is. Secrets are in files of their own, which are named and never read here;
    what an address has of a password or a query is hidden.
    """
    if as_sample:
        print_lines(*sample().splitlines())
        return
    found = [Effective(one.name, one.text and hidden(one.text), one.source) for one in effective(settings)]
    answer = {one.name: {"value": one.text, "source": one.source} for one in found}
    print_answer({"settings": answer}, _lines(found), as_json=as_json)


def _lines(found: Sequence[Effective]) -> Iterator[str]:
    widths = [max(len(one.name) for one in found), max(len(one.text or "-") for one in found)]
    for one in found:
        yield f"{one.name:{widths[0]}}  {one.text or '-':{widths[1]}}  {one.source}"
