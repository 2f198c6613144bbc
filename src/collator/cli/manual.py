"""The manual of the command line, as Markdown: ``docs/commands.md`` is what `manual` gives, and a test compares them.

`make docs` writes it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator

import click

from collator.cli.exits import Exit
from collator.cli.main import listed
from collator.settings import OPTIONS, Scope

_HEAD = """\
# Commands

Written by `make docs` from the commands: `collator COMMAND --help` says the same, and lists the settings too. What is
done to resources, deliveries and endpoints is grouped by them: `collator resources show ID`.

What prints data prints it as JSON with `--json`. A table fits the terminal, with ages; `--wide` shows ids, times and
reasons whole. Errors go to standard error, in a line or two that say what to do.

A shell completes commands and options after one of these lines, which belongs in its start-up file:

```
eval "$(_COLLATOR_COMPLETE=bash_source collator)"     # bash 4.4 or later
eval "$(_COLLATOR_COMPLETE=zsh_source collator)"      # zsh
_COLLATOR_COMPLETE=fish_source collator | source      # fish
```
"""
_SETTINGS = {
    Scope.SERVICE: "[every setting of the service](settings.md)",
    Scope.CLIENT: "`--url`, `--token-file`",
    Scope.RECEIVER: "[every setting of the receiver](settings.md#collator-receive)",
}


def manual() -> str:
    """The whole manual."""
    ordered = sorted(listed(), key=lambda command: str(command.name))
    exits = [f"| {code.value} | {code.name.lower()} | {code.meaning} |" for code in Exit]
    lines = [line for path, command in verbs(ordered) for line in _section(path, command)]
    return "\n".join([_HEAD, *lines, "## Exit codes", "", "| code | name | |", "|---|---|---|", *exits, ""])


def verbs(commands: Iterable[click.Command], above: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield each of *commands* with what is typed for it, a group before the commands in it: ``resources show``."""
    for command in commands:
        path = f"{above} {command.name}".strip()
        yield path, command
        if isinstance(command, click.Group):
            yield from verbs(command.commands.values(), path)


def _section(path: str, command: click.Command) -> Iterator[str]:
    arguments = [param for param in command.params if isinstance(param, click.Argument)]
    usage = " ".join(param.metavar or f"[{str(param.name).upper()}]" for param in arguments)
    if isinstance(command, click.Group):
        usage = "VERB …"
    yield from (f"##{'#' * path.count(' ')} {path}", "", f"`{f'collator {path} {usage}'.strip()}`", "")
    yield from (inspect.cleandoc(command.help or ""), "")
    settings = {*OPTIONS, "config"}
    own = [param for param in command.params if isinstance(param, click.Option) and param.name not in settings]
    if own:
        yield from ("| option | |", "|---|---|")
        yield from (f"| `{_cell(_usage(param))}` | {_cell(param.help or '')} |" for param in own)
        yield ""
    scopes = {OPTIONS[str(param.name)].scope for param in command.params if str(param.name) in OPTIONS}
    if scopes:
        flags = ", ".join(_flags(command, scope) for scope in Scope if scope in scopes)
        yield f"Settings as flags: {flags}, `--config`."
        yield ""
    examples = (command.epilog or "").partition("Examples:\n")[2].splitlines()
    yield from ("```", *(line.removeprefix("  ") for line in examples), "```", "")


def _flags(command: click.Command, scope: Scope) -> str:
    """The settings of *scope* that *command* has: all, in words, or one by one."""
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
