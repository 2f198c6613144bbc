"""What a declaration in the table consists of: the option, and the kinds of value."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from collator.settings import values


@dataclass(frozen=True)
class Kind:
    """One kind of value."""

    metavar: str
    """Stands for the value in a help text: ``DURATION``."""
    parse: Callable[[str], Any]
    """From text, in words where it is wrong (`ValueError`)."""
    write: Callable[[Any], str] = str
    """Back to text that `parse` takes."""


class Scope(StrEnum):
    """Who reads a setting."""

    SERVICE = "service"  #: `collator serve`
    CLIENT = "client"  #: every command that talks to a service
    RECEIVER = "receiver"  #: `collator receive`
    TEST = "test"  #: tests of the tests; from the environment only, and not for use


@dataclass(frozen=True, kw_only=True)
class Table:
    """What declares settings. Its paths are absolute from the start on, wherever the program goes to then."""

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

    kind: Kind
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


COUNT = Kind("N", values.whole(1, 10_000))
DIR = Kind("DIR", values.path)
DURATION = Kind("DURATION", values.duration, values.write_duration)
DURATION_OR_OFF = Kind("DURATION|off", values.duration_or_off, values.write_duration)
FILE = Kind("FILE", values.path)
GLOB = Kind("GLOB", values.some_text)
HOST = Kind("HOST", values.some_text)
NAMES = Kind("NAME[,NAME…]", values.hosts, ",".join)
NETWORKS = Kind("NETWORK[,NETWORK…]", values.networks, values.write_networks)
PORT = Kind("PORT", values.whole(0, 65_535))
PROCESSOR = Kind("MODULE:FUNCTION|URL", values.processor)
SERVICE = Kind("URL", values.service)
SIZE = Kind("SIZE", values.size, values.write_size)
SIZE_OR_OFF = Kind("SIZE|off", values.size_or_off, values.write_size)
SWITCH = Kind("", values.switch, values.write_switch)
"""Yes or no; its flag takes no value."""
URL = Kind("URL", values.url)
WEBHOOK = Kind(f"URL|{values.NO_WEBHOOK}", values.webhook)
