"""The mark of a data directory whose contents were moved to another ledger: nobody serves it by accident.

It stands there before anything is moved, so that nothing changes what is half moved.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec

from collator.durability import replace_file, sync_directory
from collator.errors import ConfigError
from collator.files import read_file

MARK = "moved"
"""The name of its file."""
_MOST = 64 * 1024


class Mark(msgspec.Struct, frozen=True):
    """Where the contents of a directory are."""

    ledger: str
    """The address."""
    at: str
    """When they were moved; RFC 3339."""
    finished: bool


def find(data_dir: Path) -> Mark | None:
    """The mark of *data_dir*, if it has one. One that cannot be read says nothing of where the contents are."""
    try:
        return msgspec.json.decode(read_file(data_dir / MARK, _MOST)[1], type=Mark)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError):
        return Mark("another ledger", "a time that cannot be read", finished=True)


def refuse(data_dir: Path) -> None:
    """Raise `ConfigError` where *data_dir* was moved."""
    mark = find(data_dir)
    if mark is None:
        return
    if mark.finished:
        raise ConfigError(
            f"the contents of {data_dir} were moved to {mark.ledger} at {mark.at}: serve that ledger, with --ledger. "
            f"To serve the directory all the same, remove {data_dir / MARK}: what was moved is then processed and "
            "delivered a second time"
        )
    raise ConfigError(
        f"a move of {data_dir} to {mark.ledger} was begun at {mark.at} and is not finished: run collator move again, "
        "or give it up with collator move --give-up"
    )


def write(data_dir: Path, mark: Mark) -> None:
    """Put *mark* into *data_dir*, durably, in place of another. `OSError`."""
    replace_file(data_dir / MARK, msgspec.json.encode(mark))


def remove(data_dir: Path) -> None:
    """Take the mark away. `OSError`."""
    with suppress(FileNotFoundError):
        (data_dir / MARK).unlink()
        sync_directory(data_dir)
