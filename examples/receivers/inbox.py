"""A directory of webhooks: one file for each id, so that one that comes again changes nothing."""

import os
import tempfile
from pathlib import Path


class Inbox:
    """Webhooks that were received, for a program that works through them."""

    def __init__(self, directory: Path) -> None:
        """Keep them in *directory*, which is created if it does not exist."""
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory

    def store(self, webhook_id: str, body: bytes) -> None:
        """Have *body* on the disk when this returns. The id was verified: it is a name without slashes."""
        path = self.directory / f"{webhook_id}.json"
        if not path.exists():
            self._write(path, body)
        directory = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(directory)  # the name, which is not in the file
        finally:
            os.close(directory)

    def _write(self, path: Path, body: bytes) -> None:
        descriptor, name = tempfile.mkstemp(dir=self.directory, suffix=".new")
        try:
            with os.fdopen(descriptor, "wb") as new:
                new.write(body)
                new.flush()
                os.fsync(new.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink()
            raise
