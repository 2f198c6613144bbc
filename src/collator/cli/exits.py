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

    OK = 0, "success"
    FAILED = 1, "some of it failed; see the last lines of the output"
    USAGE = 2, "the command line is invalid"
    CONFIG = 3, "a setting, the file or directory that it names, or the processor is invalid"
    UNREACHABLE = 4, "the service does not answer, or accepts nothing"
    OCCUPIED = 5, "the data directory or the port is in use by another process"
    UNKNOWN = 6, "unknown resource, delivery or endpoint"
    STORE = 7, "the data directory cannot be used: damaged, of a newer version, or the disk fails"
    CONFLICT = 8, "conflict with the resource: its content or its state"
    DENIED = 9, "the token is missing, or lacks a role"
    OLDER = 10, "the database has an older schema: its pages are intact, its contents were not checked"
    INCOMPLETE = 11, "everything was sent, but some resources ended incomplete"
    ATTENTION = 12, "it works, but something needs the attention of a person"
    UNDELIVERED = 13, "everything was acknowledged, but a receiver fails; the service goes on delivering"
    INTERRUPTED = 130, "interrupted by Ctrl-C"


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
