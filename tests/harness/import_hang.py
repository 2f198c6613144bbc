"""A module whose import goes on as long as the file is there that the environment names in HELD."""

import os
import threading
from pathlib import Path

Path(os.environ["HELD"] + ".begun").touch()
while Path(os.environ["HELD"]).exists():
    threading.Event().wait(0.01)


def plain(payload: object) -> object:
    """Give the payload back."""
    return payload
