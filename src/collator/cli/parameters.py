"""Kinds of value on the command line that are no settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Annotated, TypeVar

import click
import msgspec
from click.core import ParameterSource

from collator.settings.values import duration_or_off

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_Aware = Annotated[datetime, msgspec.Meta(tz=True)]

F = TypeVar("F", bound=Callable[..., object])


class Span(click.ParamType[tuple[float, float]]):
    """From a least to a most, as in ``1-50``; one number is both."""

    name = "LEAST-MOST"

    def __init__(self, number: Callable[[str], float], least: float) -> None:
        """Read both with *number*; none may be below *least*."""
        self._number = number
        self._least = least

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        """The two numbers."""
        low, _, high = str(value).partition("-")
        try:
            span = self._number(low), self._number(high or low)
        except ValueError:
            self.fail(f"{value!r} is not a range; write {self._least:g}-50 or 7", param, ctx)
        if not self._least <= span[0] <= span[1] < float("inf"):
            self.fail(f"{value!r}: the smaller number comes first and is at least {self._least:g}", param, ctx)
        return span


class DurationOrOff(click.ParamType[float | None]):
    """Seconds, from ``90``, ``90s``, ``5m`` … or ``off``."""

    name = "DURATION|off"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        """The seconds, `None` for off."""
        try:
            return duration_or_off(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Moment(click.ParamType[str]):
    """A time with its zone as in RFC 3339, or a date, which is its midnight in UTC; as the service reads it."""

    name = "TIME"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The time with its zone."""
        text = f"{value}T00:00:00Z" if _DATE.fullmatch(str(value)) else str(value)
        try:
            msgspec.convert(text, _Aware).timestamp()
        except (msgspec.ValidationError, OverflowError):
            self.fail(
                f"{value!r} is not a time; write 2026-11-24T02:05:00Z, or 2026-11-24 for midnight UTC", param, ctx
            )
        return text


class DeliveryId(click.ParamType[str]):
    """The ID of a delivery, which that of a resource is not."""

    name = "ID"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The ID as it is."""
        text = str(value)
        if ":" not in text:
            told = f"{text!r} is not WEBHOOK_ID:ENDPOINT; collator deliveries list --wide has it"
            self.fail(told if text else "it is empty", param, ctx)
        return text


def chosen(function: F) -> F:
    """The options that choose among deliveries: *endpoint*, *resource_id*, *prefix*, *since*, *until* and *reason*."""
    for option in reversed(
        (
            click.option("--endpoint", metavar="NAME", help="Only those to this endpoint."),
            click.option("--resource", "resource_id", metavar="ID", help="Only those of this resource."),
            click.option("--prefix", metavar="TEXT", help="Only those of resources whose id begins with this prefix."),
            click.option(
                "--since",
                type=Moment(),
                metavar="TIME",
                help="Only those of resources that ended at this time or later.",
            ),
            click.option(
                "--until",
                type=Moment(),
                metavar="TIME",
                help="Only those of resources that ended at this time or before.",
            ),
            click.option("--reason", metavar="TEXT", help="Only those with this text in how the last attempt ended."),
        )
    ):
        function = option(function)
    return function


def refuse_beside(what: str, names: Collection[str]) -> None:
    """Raise `click.UsageError` where one of the options *names* was given beside *what*, for which they say nothing."""
    context = click.get_current_context()
    flags = {str(param.name): param.opts[0] for param in context.command.params}
    given = [flags[name] for name in names if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    if given:
        raise click.UsageError(f"{what} and {', '.join(given)} exclude each other")
