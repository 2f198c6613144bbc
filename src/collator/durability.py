"""Files and directory entries that a power cut must not undo."""

from __future__ import annotations

import os
from pathlib import Path

from collator.files import new_file

PARTIAL = ".partial"
"""The end of the name of a file that is not written to its end."""


def replace_file(path: Path, content: bytes) -> None:
    """Put *content* at *path*, durably, in place of what is there: a reader finds the one or the other. `OSError`."""
    partial = path.with_name(path.name + PARTIAL)
    partial.unlink(missing_ok=True)
    with new_file(partial) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make durable which files *directory* has. On Windows the file system's own journal does, with no call for it."""
    if os.name == "posix":  # a new file survives a power cut only once its directory does
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
