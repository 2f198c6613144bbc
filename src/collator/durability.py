"""Durability of directory entries, which a power cut must not undo."""

from __future__ import annotations

import os
from pathlib import Path


def sync_directory(directory: Path) -> None:
    """Make durable which files *directory* has. On Windows the file system's own journal does, with no call for it."""
    if os.name == "posix":  # a new file survives a power cut only once its directory does
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
