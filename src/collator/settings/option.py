"""The parts of a declaration: the option, the types of value, and what a class declares of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import MISSING, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from collator.settings import addresses, values

V = TypeVar("V")

DECLARATION = "declaration"
"""The key of the metadata of a field that has what it declares: an `Option`, or `Tables`."""


@dataclass(frozen=True)
class ValueType:
    """One kind of value."""

    metavar: str
    """Stands for the value in a help text: ``DURATION``."""
    parse: Callable[[str], Any]
    """From text, in words where it is wrong (`ValueError`)."""
    write: Callable[[Any], str] = str
    """Back to text that `parse` takes."""


class Scope(StrEnum):
    """The readers of a setting."""

    SERVICE = "service"  #: `collator serve`
    CLIENT = "client"  #: every command that talks to a service
    RECEIVER = "receiver"  #: `collator receive`
    TEST = "test"  #: tests of the tests; from the environment only, and not for use


@dataclass(frozen=True, kw_only=True)
class Table:
    """A class that declares settings. Its paths are absolute from the start on, wherever the program goes to then."""

    def __post_init__(self) -> None:
        """Begin each relative path at the working directory."""
        with suppress(OSError):  # that is gone: who uses the path says that it leads nowhere
            for field in fields(self):
                value = getattr(self, field.name)
                if isinstance(value, Path):
                    object.__setattr__(self, field.name, value.absolute())


@dataclass(frozen=True)
class Option:
    """One setting, as it is declared; its name, type and default are those of its field."""

    type: ValueType
    what: str
    """What it is: one sentence."""
    why: str
    """Why the default is what it is: one sentence."""
    scope: Scope = Scope.SERVICE
    flag: str = ""
    """The flag where it is not the name with dashes."""
    instead: str = ""
    """The setting whose value counts where this one is not given: of a key in a table of its own."""

    def written(self, value: object) -> str | None:
        """*value* as a user would write it; `None` where there is none."""
        return self.type.write(value) if value is not None or self.type in _OR_OFF else None


@dataclass(frozen=True)
class Tables:
    """Settings that come as tables, any number of them, each under a name: ``[endpoints.NAME]``. In the file only."""

    row: type[Any]
    """Declares the keys of one of them, as `Settings` declares its own; its field `name` is the table's name."""
    what: str
    """What they are: one sentence."""
    why: str
    """Why there is none by default: one sentence."""


def setting(
    default: V, kind: ValueType, what: str, why: str, *, scope: Scope = Scope.SERVICE, flag: str = "", instead: str = ""
) -> V:
    """A field of a `Table`: an `Option` and its *default*, whose reason is *why*."""
    option = Option(kind, what, why, scope, flag, instead)
    return field(default=default, metadata={DECLARATION: option})


def declared(table: type[Table]) -> dict[str, Option | Tables]:
    """The options and tables that *table* declares, by name, in its order."""
    return {one.name: one.metadata[DECLARATION] for one in fields(table) if DECLARATION in one.metadata}


def options_of(table: type[Table]) -> dict[str, Option]:
    """Every option that *table* declares, by name, in its order."""
    return {name: found for name, found in declared(table).items() if isinstance(found, Option)}


def required_of(table: type[Table]) -> list[str]:
    """The options of *table* that have no default."""
    options = options_of(table)
    return [field.name for field in fields(table) if field.name in options and field.default is MISSING]


BROKER = ValueType("URL", addresses.broker)
COUNT = ValueType("N", values.integer(1, 10_000))
DIR = ValueType("DIR", values.path)
DURATION = ValueType("DURATION", values.duration, values.write_duration)
DURATION_OR_OFF = ValueType("DURATION|off", values.duration_or_off, values.write_duration)
FILE = ValueType("FILE", values.path)
GLOB = ValueType("GLOB", values.some_text)
HOST = ValueType("HOST", values.some_text)
LEDGER = ValueType("sqlite|URL", addresses.ledger)
NAMES = ValueType("NAME[,NAME…]", values.hosts, ",".join)
ORIGINS = ValueType("ORIGIN[,ORIGIN…]", values.origins, ",".join)
NETWORKS = ValueType("NETWORK[,NETWORK…]", values.networks, values.write_networks)
POINTER = ValueType("POINTER", values.some_text)
PORT = ValueType("PORT", values.integer(0, 65_535))
PROCESSOR = ValueType("MODULE:FUNCTION|URL", addresses.processor)
SERVICE = ValueType("URL", addresses.service)
SIZE = ValueType("SIZE", values.size, values.write_size)
SIZE_OR_OFF = ValueType("SIZE|off", values.size_or_off, values.write_size)
SWITCH = ValueType("", values.switch, values.write_switch)
"""Yes or no; its flag takes no value."""
QUANTILE_OR_OFF = ValueType("pNN|off", values.quantile_or_off, values.write_quantile)
TEMPLATE = ValueType("JSON", values.some_text)
URL = ValueType("URL", addresses.url)
WEBHOOK = ValueType(f"URL|{addresses.NO_WEBHOOK}", addresses.webhook)
WORKERS = ValueType("local|celery", values.kind("kind of workers", "local", "celery"))
_OR_OFF = (DURATION_OR_OFF, QUANTILE_OR_OFF, SIZE_OR_OFF)
