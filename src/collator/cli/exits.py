"""The exit codes: what a script may rely on, one for each thing that it can do about it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Self

from collator.errors import (
    CollatorError,
    ConfigError,
    Conflict,
    Damaged,
    Denied,
    Ended,
    Occupied,
    SchemaTooNew,
    Unavailable,
    Unknown,
    Vanished,
)


class Exit(IntEnum):
    """The exit code of a command."""

    meaning: str
    """In words."""

    def __new__(cls, code: int, meaning: str) -> Self:
        """The *code*, and what it means."""
        made = int.__new__(cls, code)
        made._value_ = code
        made.meaning = meaning
        return made

    OK = 0, "all that was asked is done"
    FAILED = 1, "some of it could not be done; the last lines say what"
    USAGE = 2, "the command line cannot be understood"
    CONFIG = 3, "a setting, what it names (a file, a directory) or the processor cannot be used"
    UNREACHABLE = 4, "the service does not answer, or takes nothing"
    OCCUPIED = 5, "another process holds the data directory, or the port"
    UNKNOWN = 6, "there is no such resource, delivery or endpoint"
    STORE = 7, "the data directory cannot be used: damaged, of a newer version, or the disk fails"
    CONFLICT = 8, "it contradicts what the resource holds, or the resource has ended otherwise"
    DENIED = 9, "the service wants a token, or one that allows more"
    OLDER = 10, "the database has an older schema: its pages are whole, its contents were not looked at"
    INCOMPLETE = 11, "all of it was sent, and some of it ended incomplete: packets that failed, or never came"
    INTERRUPTED = 130, "ended by Ctrl-C, as shells count it"


_BY_ERROR: Mapping[type[CollatorError], Exit] = {
    ConfigError: Exit.CONFIG,
    Occupied: Exit.OCCUPIED,
    Unknown: Exit.UNKNOWN,
    Conflict: Exit.CONFLICT,
    Ended: Exit.CONFLICT,
    Denied: Exit.DENIED,
    SchemaTooNew: Exit.STORE,
    Vanished: Exit.STORE,
    Damaged: Exit.STORE,
    Unavailable: Exit.UNREACHABLE,
}


def exit_for(error: CollatorError) -> Exit:
    """The exit code that *error* ends a command with."""
    return next((code for kind, code in _BY_ERROR.items() if isinstance(error, kind)), Exit.FAILED)
