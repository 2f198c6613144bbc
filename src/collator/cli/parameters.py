"""Kinds of value on the command line that are no settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from collator.settings.values import duration_or_off

Function = TypeVar("Function", bound=Callable[..., object])


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
            self.fail(f"{value!r} is not a span; write {self._least:g}-50 or 7", param, ctx)
        if not self._least <= span[0] <= span[1] < float("inf"):
            self.fail(f"{value!r}: at least {self._least:g}, and the smaller number first", param, ctx)
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


def chosen(function: Function) -> Function:
    """The options that choose among deliveries: *endpoint*, *resource_id*, *prefix* and *since*."""
    for option in reversed(
        (
            click.option("--endpoint", metavar="NAME", help="Only those to this endpoint."),
            click.option("--resource", "resource_id", metavar="ID", help="Only those of this resource."),
            click.option("--prefix", metavar="TEXT", help="Only those of resources whose id begins so."),
            click.option("--since", metavar="TIME", help="Only those of resources that ended then or later."),
        )
    ):
        function = option(function)
    return function
