"""Puts the commands together, and turns errors into one line and an exit code.

A new command: a line in `COMMANDS`. A new verb for a kind of thing: in the file of its noun.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections import UserDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import copy
from pkgutil import resolve_name
from types import MappingProxyType
from typing import Any, NoReturn

import click

from collator import __version__
from collator.cli.exits import Exit, exit_for
from collator.cli.terminal import print_lines
from collator.errors import CollatorError, Denied

COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "demo": "demo:demo",
        "try": "try_processor:try_",
        "serve": "serve:serve",
        "worker": "worker:worker",
        "send": "send:send",
        "receive": "receive:receive",
        "follow": "follow:follow",
        "status": "status:status",
        "resources": "resources:resources",
        "deliveries": "deliveries:deliveries",
        "endpoints": "endpoints:endpoints",
        "audit": "audit:audit",
        "token": "token:token",
        "secret": "secret:secret",
        "config": "config:config",
        "check": "check:check",
        "backup": "backup:backup",
        "move": "move:move",
        "chaos": "chaos:chaos",
    }
)
"""Where each command is, in this package."""

ALIASES: Mapping[str, str] = MappingProxyType(
    {
        # Verbs that were commands by themselves before they stood under their noun.
        **{verb: f"resources:{verb}" for verb in ("show", "outputs", "complete", "cancel", "retry", "purge")},
        **{verb: f"endpoints:{verb}" for verb in ("pause", "resume")},
        "replay": "deliveries:replay",
        "give-up": "deliveries:give_up",
        "stop": "deliveries:give_up",
        "torture": "chaos:chaos",
    }
)
"""Names of before, for the scripts that have them. They still are commands, and are not listed."""


class _Commands(UserDict[str, Any]):
    """The commands by their names. Each is imported when it is asked for: all take 0.3 s, and most a tenth of it."""

    def __getitem__(self, name: str) -> click.Command:
        found: click.Command = resolve_name(f"{__package__}.{self.data[name]}")
        if name not in ALIASES:
            return found
        alias = copy(found)
        alias.name, alias.hidden = name, True
        return alias


@click.group(commands=_Commands({**COMMANDS, **ALIASES}), invoke_without_command=True)
@click.version_option(__version__, prog_name="collator")
@click.pass_context
def cli(context: click.Context) -> None:
    """Collator turns a live stream of packets into one webhook per finished resource.

    Each packet goes through your processor. The outputs of a resource are collated in order and sent to your webhook
    as soon as the last one is there.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def listed() -> Sequence[click.Command]:
    """The commands that are listed: all but names of before."""
    return [cli.commands[name] for name in COMMANDS]


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line *arguments*, those of the process where they are not given, and exit."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line *arguments*; its exit code. A defect is raised: its traceback is what helps."""
    try:
        _refuse_bytes(sys.argv[1:] if arguments is None else arguments)
        return cli.main(arguments, prog_name="collator", standalone_mode=False) or Exit.OK
    except BaseException as error:
        code, message = _meaning(error)
        if code is None:
            raise
        if message:
            with suppress(OSError):  # the code says it too
                print_lines(*f"collator: {message}".split("\n"), err=True)
        return code
    finally:
        _end_output()


def _refuse_bytes(arguments: Sequence[str]) -> None:
    """Raise `click.UsageError` where one of *arguments* is no text: it could be neither sent nor printed."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise click.UsageError(f"the argument {os.fsencode(argument)!r} is not text in UTF-8") from None


def _meaning(error: BaseException) -> tuple[Exit | None, str]:
    """The exit code, and what is said; no code for a defect."""
    if isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]  # one error of several things that ran at the same time
    match error:
        case click.UsageError():
            command = error.ctx.command_path if error.ctx else "collator"
            meaning = Exit.USAGE, f"{error.format_message()}\nTry: {command} --help"
        case click.ClickException():
            meaning = Exit.FAILED, error.format_message()
        case Denied():
            meaning = exit_for(error), f"{error.detail}\nUse a token that allows it: --token-file FILE"
        case CollatorError():
            meaning = exit_for(error), error.detail
        case BrokenPipeError():
            meaning = Exit.FAILED, ""  # who read our output has gone, and wants to hear nothing
        case OSError() if _is_of_output(error):
            meaning = Exit.FAILED, f"the output cannot be written: {error.strerror}"
        case click.Abort() | KeyboardInterrupt():
            meaning = Exit.INTERRUPTED, ""
        case _:
            return None, ""
    return meaning


def _is_of_output(error: OSError) -> bool:
    """Return whether *error* came up in click or rich, which print all that commands print, and touch no files."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals["__name__"]).partition(".")[0] in {"click", "rich"}


def _end_output() -> None:
    """Give what cannot be written another end: Python flushes once more at exit, and would complain."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:  # it was closed before the start
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
