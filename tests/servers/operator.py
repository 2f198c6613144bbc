"""A PostgreSQL server as operators run one: with TLS, passwords, a standby and PgBouncer.

It is that of the machine, as the wheel has no TLS.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from collator.cli.children import free_port
from tests.requirements import need
from tests.servers.postgresql import Server
from tests.servers.server import START
from tests.wait import until_sync

_SETTINGS = {"shared_buffers": "32MB", "max_connections": "50", "wal_keep_size": "64MB"}
_TLS = {"ssl": "on", "ssl_cert_file": "'localhost.pem'", "ssl_key_file": "'localhost.key'", "ssl_ca_file": "'ca.pem'"}
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
    """A server with settings of its own."""

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        access: str = "host all all 127.0.0.1/32 trust",
        keys: Path | None = None,
    ) -> None:
        """Start one that lets in whom *access* says, with TLS by *keys*; its superuser is ``collator``."""
        need(_PLACES, "a PostgreSQL server of the machine (apt-get install postgresql)")
        self._take_place(None, _PLACES[0])
        self.create()
        if keys is not None:
            for name in ("localhost.pem", "localhost.key", "ca.pem"):
                self._take(keys / name)
        (self.data / "pg_hba.conf").write_text(f"{access}\nhost replication all 127.0.0.1/32 trust\n")
        self.configure({**_SETTINGS, **(settings or {}), **(_TLS if keys else {})})
        self.start()

    def _take(self, path: Path) -> None:
        shutil.copy(path, self.data)
        (self.data / path.name).chmod(0o600)
        shutil.chown(self.data / path.name, self.data.stat().st_uid, self.data.stat().st_gid)


@contextmanager
def pgbouncer(server: Server, mode: str) -> Iterator[int]:
    """A PgBouncer before *server*, which pools by *mode*; its port."""
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    need(program, "pgbouncer")
    port = free_port()
    place = Path(tempfile.mkdtemp(prefix="collator-pgbouncer-"))
    (place / "users").write_text('"collator" ""\n')
    (place / "pgbouncer.ini").write_text(
        f"[databases]\n* = host=127.0.0.1 port={server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nauth_type = trust\nauth_file = {place}/users\npool_mode = {mode}\n"
        "unix_socket_dir =\n"
    )
    if server.user:  # nor does it run as root
        shutil.chown(place, server.user["user"], server.user["group"])
    process = subprocess.Popen(
        [str(program), "-q", str(place / "pgbouncer.ini")], cwd=place, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **server.user,
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
