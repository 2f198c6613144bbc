"""The manual of the command line, as Markdown: ``docs/commands.md`` is what `manual` gives, and a test compares them.

`make docs` writes it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator

import click

from collator.cli.exits import Exit
from collator.cli.main import COMMANDS
from collator.settings import OPTIONS, Scope

_HEAD = """\
# Commands

Written by `make docs` from the commands: `collator COMMAND --help` says the same, and lists the settings too. What is
done to resources, deliveries and endpoints is grouped by them: `collator resources show ID`.

What prints data prints it as JSON with `--json`. Errors go to standard error, in a line or two that say what to do.
"""
_SETTINGS = {
    Scope.SERVICE: "every setting of the service",
    Scope.CLIENT: "`--url`, `--token-file`",
    Scope.RECEIVER: "every setting of the receiver",
}


def manual() -> str:
    """The whole manual."""
    ordered = sorted(COMMANDS, key=lambda command: str(command.name))
    return "\n".join([_HEAD, *(_section(path, command) for path, command in verbs(ordered)), _exits()])


def verbs(commands: Iterable[click.Command], above: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield each of *commands* with what is typed for it, a group before the commands in it: ``resources show``."""
    for command in commands:
        path = f"{above} {command.name}".strip()
        yield path, command
        if isinstance(command, click.Group):
            yield from verbs(command.commands.values(), path)


def _section(path: str, command: click.Command) -> str:
    return "\n".join([f"##{'#' * path.count(' ')} {path}", "", *_lines(path, command), ""])


def _lines(path: str, command: click.Command) -> Iterator[str]:
    arguments = "".join(f" {param.metavar or f'[{str(param.name).upper()}]'}" for param in _arguments(command))
    yield f"`collator {path}{' VERB …' if isinstance(command, click.Group) else arguments}`"
    yield ""
    yield inspect.cleandoc(command.help or "")
    yield ""
    own = [param for param in command.params if isinstance(param, click.Option) and not _is_setting(param)]
    if own:
        yield from ("| option | |", "|---|---|")
        yield from (f"| `{_cell(_usage(param))}` | {_cell(param.help or '')} |" for param in own)
        yield ""
    scopes = {OPTIONS[str(param.name)].scope for param in command.params if str(param.name) in OPTIONS}
    if scopes:
        flags = ", ".join(_flags(command, scope) for scope in Scope if scope in scopes)
        yield f"Settings as flags: {flags}, `--config`."
        yield ""
    yield from ("```", *_examples(command), "```")


def _arguments(command: click.Command) -> list[click.Argument]:
    return [param for param in command.params if isinstance(param, click.Argument)]


def _is_setting(option: click.Option) -> bool:
    return str(option.name) in OPTIONS or option.name == "config"


def _flags(command: click.Command, scope: Scope) -> str:
    """Those of *scope* that *command* has: all, in words, or one by one."""
    here = [param for param in command.params if str(param.name) in OPTIONS and OPTIONS[str(param.name)].scope is scope]
    whole = len(here) == sum(option.scope is scope for option in OPTIONS.values())
    return _SETTINGS[scope] if whole else ", ".join(f"`{param.opts[0]}`" for param in here)


def _usage(option: click.Option) -> str:
    """``--limit N``, ``--wait/--no-wait``."""
    names = "/".join([*option.opts, *option.secondary_opts])
    shown = "" if option.is_flag else option.metavar or "|".join(getattr(option.type, "choices", [option.type.name]))
    return f"{names} {shown}".strip()


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _examples(command: click.Command) -> Iterator[str]:
    lines = (command.epilog or "").partition("Examples:\n")[2].splitlines()
    yield from (line.removeprefix("  ") for line in lines)


def _exits() -> str:
    rows = [f"| {code.value} | {code.name.lower()} | {code.meaning} |" for code in Exit]
    return "\n".join(["## Exit codes", "", "| code | name | |", "|---|---|---|", *rows, ""])


if __name__ == "__main__":
    click.echo(manual(), nl=False)
