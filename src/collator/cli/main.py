"""Puts the commands together, and turns errors into one line and an exit code.

A new command: import it, list it. A new verb for a kind of thing: in the file of its noun.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from copy import copy
from typing import NoReturn

import click

from collator import __version__
from collator.cli.audit import audit
from collator.cli.backup import backup
from collator.cli.chaos import chaos
from collator.cli.check import check
from collator.cli.config import config
from collator.cli.deliveries import deliveries, give_up, replay
from collator.cli.demo import demo
from collator.cli.endpoints import endpoints, pause, resume
from collator.cli.exits import Exit, exit_for
from collator.cli.receive import receive
from collator.cli.resources import cancel, complete, outputs, purge, resources, retry, show
from collator.cli.send import send
from collator.cli.serve import serve
from collator.cli.status import status
from collator.cli.terminal import print_lines
from collator.cli.token import token
from collator.cli.try_processor import try_
from collator.errors import CollatorError, Denied

COMMANDS: tuple[click.Command, ...] = (
    demo,
    try_,
    serve,
    send,
    receive,
    status,
    resources,
    deliveries,
    endpoints,
    audit,
    token,
    config,
    check,
    backup,
    chaos,
)

FORMER = (show, outputs, complete, cancel, retry, purge, replay, give_up, pause, resume)
"""Verbs that were commands by themselves before they stood under their noun; they still are, and are not listed."""


def _alias(command: click.Command, name: str) -> click.Command:
    """Make *command* known under the *name* that it had before, without listing it there."""
    alias = copy(command)
    alias.name, alias.hidden = name, True
    return alias


ALIASES: tuple[click.Command, ...] = (
    *(_alias(command, str(command.name)) for command in FORMER),
    _alias(give_up, "stop"),
    _alias(chaos, "torture"),
)
"""Names of before, for the scripts that have them."""


@click.group(commands={str(command.name): command for command in (*COMMANDS, *ALIASES)}, invoke_without_command=True)
@click.version_option(__version__, prog_name="collator")
@click.pass_context
def cli(context: click.Context) -> None:
    """Collator turns a live stream of packets into one webhook per finished resource.

    Each packet goes through your processor. The outputs of a resource are collated in order and sent to your webhook
    as soon as the last one is there.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


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
