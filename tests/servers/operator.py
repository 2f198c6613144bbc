"""A PostgreSQL server as operators run one: with TLS, passwords, a standby and PgBouncer.

It is that of the machine, as the wheel has no TLS.
"""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from collator.cli.children import free_port
from tests.requirements import need
from tests.servers.postgresql import Server, _other_user
from tests.servers.server import START
from tests.wait import until_sync

_CONFIGURATION = """
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
shared_buffers = 32MB
max_connections = 50
wal_keep_size = 64MB
"""
_PLACES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def certificates(folder: Path) -> None:
    """Make an authority (``ca``), a certificate of it for the host localhost, and one for the user ``certified``."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=60)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca", "-days", "2")
    for name, host in (("localhost", "DNS:localhost"), ("certified", "DNS:nowhere")):
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (folder / "names").write_text(f"subjectAltName={host}\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-out", f"{name}.pem", "-days", "2", "-extfile", "names")  # fmt: skip


class OperatedServer(Server):
    """A server with settings of its own, or a standby."""

    def __init__(
        self, configuration: str = "", *, access: str = "host all all 127.0.0.1/32 trust", keys: Path | None = None
    ) -> None:
        """Start one that lets in whom *access* says, with TLS by *keys*; its superuser is ``collator``."""
        self._prepare()
        self._run("initdb", "--pgdata", str(self.data), "--username", "collator", "--auth", "trust", "-E", "UTF8",
                  "--locale", "C", "--no-sync")  # fmt: skip
        if keys is not None:
            for name in ("localhost.pem", "localhost.key", "ca.pem"):
                self._take(keys / name)
            configuration += "ssl = on\nssl_cert_file = 'localhost.pem'\nssl_key_file = 'localhost.key'\n"
            configuration += "ssl_ca_file = 'ca.pem'\n"
        (self.data / "pg_hba.conf").write_text(f"{access}\nhost replication all 127.0.0.1/32 trust\n")
        self._configure(_CONFIGURATION + configuration)
        self.start()

    @classmethod
    def standby_of(cls, primary: OperatedServer, name: str) -> Self:
        """Start a copy that follows *primary* as *name*."""
        standby = cls.__new__(cls)
        standby._prepare()
        source = f"host=127.0.0.1 port={primary.port} user=collator application_name={name}"
        standby._run("pg_basebackup", "-D", str(standby.data), "-R", "-c", "fast", "-d", source)
        standby._configure("synchronous_standby_names = ''\n")
        standby.start()
        return standby

    @property
    def programs(self) -> Path:
        """The directory of its programs."""
        return self._binaries

    def _prepare(self) -> None:
        need(_PLACES, "a PostgreSQL server of the machine (apt-get install postgresql)")
        self._binaries, self._user = _PLACES[0], _other_user()
        self._home = Path(tempfile.mkdtemp(prefix="collator-operated-"))
        self.data = self._home / "data"
        self.port = free_port()
        self.url = f"postgresql://collator@127.0.0.1:{self.port}"
        self._own(self._home)
        atexit.register(self.remove)

    def _configure(self, configuration: str) -> None:
        with (self.data / "postgresql.conf").open("a") as file:
            file.write(f"{configuration}port = {self.port}\n")

    def _take(self, path: Path) -> None:
        shutil.copy(path, self.data)
        (self.data / path.name).chmod(0o600)
        self._own(self.data / path.name)

    def _own(self, path: Path) -> None:
        if self._user is not None:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)


@contextmanager
def pgbouncer(server: Server, mode: str) -> Iterator[int]:
    """A PgBouncer before *server*, which pools by *mode*; its port."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    need(program, "pgbouncer")
    port, user = free_port(), _other_user()
    place = Path(tempfile.mkdtemp(prefix="collator-pgbouncer-"))
    (place / "users").write_text('"collator" ""\n')
    (place / "pgbouncer.ini").write_text(
        f"[databases]\n* = host=127.0.0.1 port={server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nauth_type = trust\nauth_file = {place}/users\npool_mode = {mode}\n"
        "unix_socket_dir =\n"
    )
    options = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    if user is not None:
        os.chown(place, user.pw_uid, user.pw_gid)
    process = subprocess.Popen(
        [str(program), "-q", str(place / "pgbouncer.ini")], cwd=place, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options,  # type: ignore[call-overload]
    )  # fmt: skip
    try:
        until_sync(lambda: _listens(port), START)
        yield port
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(place, ignore_errors=True)


def _listens(port: int) -> bool:
    with socket.socket() as trying:
        return trying.connect_ex(("127.0.0.1", port)) == 0
