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
        if path.exists():
            return
        with tempfile.NamedTemporaryFile(dir=self.directory, delete=False) as new:
            new.write(body)
            new.flush()
            os.fsync(new.fileno())
        Path(new.name).replace(path)
