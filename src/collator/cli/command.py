"""Parts of every command: the settings that it reads as flags, and a help text that ends with worked examples.

What is done to one kind of thing is grouped under its noun: ``collator resources show ID``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import wraps
from typing import Any

import click

from collator.settings import OPTIONS, SWITCH, Scope, default, flag, load, variable

CommandFunction = Callable[..., Any]
Examples = Sequence[tuple[str, str]]
"""For each what it does, and the command line that does it."""

WIDE = {"max_content_width": 100}
"""Context settings of every command."""
_SOURCES = (
    "Settings also come from the environment ({flag}: {variable}) and from a file ({key}, in collator.toml); "
    "flags override the environment, and the environment overrides the file."
)


def command(
    *scopes: Scope,
    some: Collection[str] = (),
    examples: Examples,
    read: CommandFunction = load,
    short: str | None = None,
    others: bool = False,
) -> Callable[[CommandFunction], click.Command]:
    """Make a function a command; its docstring is the help, which ends with *examples*.

    *short* is its line in the list of commands, where the first sentence of the help is too long for one. With *others*
    it takes options that it does not know as arguments.

    It has the flags of every setting in *scopes* and of *some* more, by name, behind its own options, and
    ``--config``; the function is called with the effective ``settings``, or what else *read* makes of them.
    """
    names = [name for name, option in OPTIONS.items() if option.scope in scopes or name in some]

    def make(function: CommandFunction) -> click.Command:
        called = _with_settings(function, names, read)
        name = function.__name__.strip("_").replace("_", "-")  # list_ is no builtin
        context = {**WIDE, "ignore_unknown_options": others}
        made = click.command(name, short_help=short, epilog=epilog(examples, names), context_settings=context)(called)
        for param in made.params:
            if param.type is click.STRING and param.name not in {*names, "config"}:
                param.callback = _filled
        made.params.sort(key=lambda param: param.name in {*names, "config"})
        return made

    return make


def epilog(examples: Examples, names: Sequence[str] = ()) -> str:
    """The end of a help text: where the settings *names* come from too, and worked *examples*."""
    shown = "\n".join(f"  # {what}\n  {line}" for what, line in examples)
    sources = [_SOURCES.format(flag=flag(name), variable=variable(name), key=name) for name in names[:1]]
    return "\n\n".join([*sources, f"\b\nExamples:\n{shown}"])


class Noun(click.Group):
    """The commands on one kind of thing, a verb each; without a verb it lists what there is."""

    def __init__(
        self, name: str, *verbs: click.Command, text: str, short: str, examples: Examples, id_mark: str = ""
    ) -> None:
        """Make *verbs*, ``list`` among them, known under *name*. *text*, *short* and *examples* are for the help.

        What holds *id_mark* in the place of a verb is an id, and is shown, where one is given.
        """
        super().__init__(
            name,
            [*verbs],
            help=text,
            short_help=short,
            epilog=epilog(examples),
            context_settings=WIDE,
            subcommand_metavar="VERB …",
        )
        self._id_mark = id_mark

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse *args*, in which the verb may be missing."""
        if not ctx.resilient_parsing:  # where a shell asks what may come next, verbs do
            args = [*self._missing_verb(ctx, args), *args]
        return super().parse_args(ctx, args)

    def _missing_verb(self, context: click.Context, arguments: list[str]) -> list[str]:
        first = arguments[0] if arguments else ""
        if first in self.commands or first in context.help_option_names:
            return []
        _, positional, _ = self.commands["list"].make_parser(context).parse_args([*arguments])
        if positional and self._id_mark and (self._id_mark in positional[0] or not positional[0]):
            return ["show"]
        return ["list"] if not arguments or first.startswith("-") else []


def _with_settings(function: CommandFunction, names: Sequence[str], read: CommandFunction) -> CommandFunction:
    if not names:
        return function

    @wraps(function)
    def call(*, config: str | None, **given: Any) -> Any:  # noqa: ANN401 - what the command takes and gives
        flags = {name: given.pop(name) for name in names}
        return function(settings=read(flags, config=config), **given)

    stacked: CommandFunction = click.option("--config", metavar="FILE", help="Read settings from FILE.")(call)
    for name in reversed(names):
        stacked = _option(name)(stacked)
    return stacked


def _filled(_context: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Refuse text that is empty: a variable that was not set, which would mean another path, or all that there is."""
    if value == "":
        raise click.BadParameter("it is empty")
    return value


def _option(name: str) -> Callable[[CommandFunction], CommandFunction]:
    option, value = OPTIONS[name], default(name)
    if option.type is SWITCH:
        other = "no" if value == "yes" else "yes"
        return click.option(flag(name), name, flag_value=other, help=option.what)
    shown = f"  [{value}]" if value else ""
    return click.option(flag(name), name, metavar=option.type.metavar, help=option.what + shown)
