"""The parts of a declaration in the table: the option, and the types of value."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from collator.settings import values


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


@dataclass(frozen=True)
class Tables:
    """Settings that come as tables, any number of them, each under a name: ``[endpoints.NAME]``. In the file only."""

    row: type[Any]
    """Declares the keys of one of them, as `Settings` declares its own; its field `name` is the table's name."""
    what: str
    """What they are: one sentence."""
    why: str
    """Why there is none by default: one sentence."""


COUNT = ValueType("N", values.integer(1, 10_000))
DIR = ValueType("DIR", values.path)
DURATION = ValueType("DURATION", values.duration, values.write_duration)
DURATION_OR_OFF = ValueType("DURATION|off", values.duration_or_off, values.write_duration)
FILE = ValueType("FILE", values.path)
GLOB = ValueType("GLOB", values.some_text)
HOST = ValueType("HOST", values.some_text)
NAMES = ValueType("NAME[,NAME…]", values.hosts, ",".join)
NETWORKS = ValueType("NETWORK[,NETWORK…]", values.networks, values.write_networks)
PORT = ValueType("PORT", values.integer(0, 65_535))
PROCESSOR = ValueType("MODULE:FUNCTION|URL", values.processor)
SERVICE = ValueType("URL", values.service)
SIZE = ValueType("SIZE", values.size, values.write_size)
SIZE_OR_OFF = ValueType("SIZE|off", values.size_or_off, values.write_size)
SWITCH = ValueType("", values.switch, values.write_switch)
"""Yes or no; its flag takes no value."""
URL = ValueType("URL", values.url)
WEBHOOK = ValueType(f"URL|{values.NO_WEBHOOK}", values.webhook)
