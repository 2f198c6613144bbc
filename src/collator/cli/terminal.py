"""Output of commands: the one place, so that nothing of what others wrote is obeyed by a terminal.

Ids, reasons, metadata and the answers of a service may hold anything. A line for a person has escapes for all that is
not printable; JSON has its own escapes in that place, so that it stays the same value.
"""

from __future__ import annotations

import sys

import click
import msgspec

from collator.text import escaped, escaped_json


def print_lines(*lines: str, err: bool = False) -> None:
    """Print *lines*, each on one line; on standard error where it is an *err*."""
    for line in lines:
        click.echo(escaped(line), err=err)


def print_secrets(*secrets: str, notice: str) -> None:
    """Print *secrets* one a line: on a terminal with *notice*; elsewhere no line end is behind the last one."""
    terminal = sys.stdout.isatty()
    click.echo("\n".join(map(escaped, secrets)), nl=terminal)
    if terminal:
        print_lines(notice, err=True)


def print_json(value: object, *, pretty: bool = False) -> None:
    """Print *value* as JSON: on one line, or *pretty*, as a person reads it."""
    text = msgspec.json.encode(value)
    click.echo(escaped_json((msgspec.json.format(text) if pretty else text).decode()))


def print_data(value: object) -> None:
    """Print *value*, an output, as JSON on one line; letters that are joined stay so."""
    click.echo(escaped_json(msgspec.json.encode(value).decode(), joiners=True))
