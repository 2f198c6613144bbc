"""Every setting, declared once: its kind (and so its unit), its default, what it is and why the default is that.

Flags, environment, file, help texts and documentation all come from this table.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from collator.errors import ConfigError
from collator.settings.delivery import DeliverySettings
from collator.settings.listener import ListenerSettings
from collator.settings.log import LogSettings
from collator.settings.option import (
    DIR,
    DURATION,
    DURATION_OR_OFF,
    FILE,
    HOST,
    LEDGER,
    POINTER,
    PORT,
    SERVICE,
    SIZE,
    SWITCH,
    Option,
    Scope,
    Tables,
    ValueType,
    declared,
    options_of,
    setting,
)
from collator.settings.processor import ProcessorSettings
from collator.settings.values import choice, integer

_HOUR = 3600.0
_MIB = 1024 * 1024
_GIB = 1024 * _MIB


@dataclass(frozen=True, kw_only=True)
class Settings(ProcessorSettings, DeliverySettings, ListenerSettings, LogSettings):
    """The effective settings. Durations in seconds (`None`: never), sizes in bytes."""

    ledger: str = setting(
        "sqlite",
        LEDGER,
        "Ledger, which stores packets, outcomes and deliveries: sqlite, a database in data_dir, or "
        "postgresql://USER@HOST[,HOST…]/DATABASE, which several nodes may share; several of them, with ; in between, "
        "divide the resources among them.",
        "No other service has to be installed.",
    )
    ledger_password_file: Path | None = setting(
        None,
        FILE,
        "File with the password of the PostgreSQL user; none: that of PGPASSFILE, or no password.",
        "An address with a password in it would be seen in lists of processes.",
    )
    ledger_durability: str = setting(
        "strict",
        ValueType("strict|relaxed", choice("strict", "relaxed")),
        "strict refuses a PostgreSQL server that may lose what it acknowledged, such as with fsync off; relaxed warns.",
        "An acknowledged packet survives a power cut.",
    )
    data_dir: Path = setting(
        Path("collator-data"),
        DIR,
        "Directory of the store; created if it does not exist.",
        "Easy to find: in the directory in which the service was started.",
    )
    idle_timeout: float | None = setting(
        _HOUR,
        DURATION_OR_OFF,
        "Time without new packets or outcomes after which a resource with missing packets closes as incomplete.",
        "Longer than a pause in a phone call, shorter than a working day.",
    )
    deadline: float | None = setting(
        None,
        DURATION_OR_OFF,
        "Time after its first packet at which a resource closes, complete or not.",
        "A resource may stay open as long as packets come.",
    )
    retention: float = setting(
        24 * _HOUR,
        DURATION,
        "How long a resource is kept after its last delivery has ended.",
        "A day to inspect and replay it, and to tell late packets from new resources.",
    )
    dead_retention: float | None = setting(
        None,
        DURATION_OR_OFF,
        "How long a resource with a dead delivery is kept.",
        "What could not be delivered is kept until a person decides.",
    )
    remember: float | None = setting(
        30 * 24 * _HOUR,
        DURATION_OR_OFF,
        "How long the id of a deleted resource is remembered, so that late packets do not open it again.",
        "Longer than senders repeat packets; it takes about 100 bytes of disk per resource.",
    )
    clock_jump: float | None = setting(
        24 * _HOUR,
        DURATION_OR_OFF,
        "How far the clock may have moved ahead since the last stop; beyond it, nothing expires or is deleted.",
        "Longer than a restart or a repair; a wrong clock is usually off by more.",
    )
    accept_clock: bool = setting(
        False,
        SWITCH,
        "Trust the clock, however far it is ahead: all the time since the last stop counts.",
        "A person has to confirm it, as a wrong clock would delete what should be kept.",
    )
    drain_timeout: float = setting(
        30.0,
        DURATION,
        "Time to finish work in progress when the service stops.",
        "Supervisors usually wait that long before they kill a process.",
    )
    max_payload: int = setting(
        _MIB, SIZE, "Maximum size of a payload.", "A minute of compressed speech, or a scanned page."
    )
    max_output: int = setting(_MIB, SIZE, "Maximum size of the output for one packet.", "As large as a payload.")
    max_body: int = setting(
        64 * _MIB, SIZE, "Maximum size of the body of a webhook.", "Receivers hold it in memory, and few accept more."
    )
    max_packets: int = setting(
        1_000_000,
        ValueType("N", integer(1, 2**24)),
        "Maximum number of packets of a resource.",
        "Weeks of audio in pieces of two seconds.",
    )
    max_open: int = setting(
        10_000_000,
        ValueType("N", integer(1, 2**53)),
        "Maximum number of open resources; beyond it, packets of new ones are refused.",
        "Bounds the disk.",
    )
    max_backlog: int = setting(
        8 * _GIB,
        SIZE,
        "Maximum size of the backlog (packets without an outcome, and open resources); beyond it, packets are refused.",
        "Bounds the disk space.",
    )
    min_free_disk: int = setting(
        256 * _MIB,
        SIZE,
        "Free space on the disk of the store below which packets are refused.",
        "Leaves space to finish work in progress, and for other programs on that disk.",
    )

    url: str | None = setting(
        None,
        SERVICE,
        "URL of the service; by default made from the settings host and port.",
        "The service and its clients can share one configuration.",
        scope=Scope.CLIENT,
    )
    token_file: Path | None = setting(
        None,
        FILE,
        "File with the token of this client in its first line.",
        "A service that listens on a loopback address needs none.",
        scope=Scope.CLIENT,
    )

    receive_host: str = setting(
        "127.0.0.1",
        HOST,
        "Address to listen on.",
        "Only programs on this machine can reach it.",
        scope=Scope.RECEIVER,
        flag="host",
    )
    receive_port: int = setting(
        9000,
        PORT,
        "Port to listen on; 0 chooses any free port.",
        "Next to the port of the service.",
        scope=Scope.RECEIVER,
        flag="port",
    )
    receive_dir: Path = setting(
        Path("received"),
        DIR,
        "Directory for the files; created if it does not exist.",
        "Easy to find: in the directory in which the receiver was started.",
        scope=Scope.RECEIVER,
        flag="dir",
    )
    receive_secret_file: Path | None = setting(
        None,
        FILE,
        "File with the secrets that webhooks are signed with; without it, signatures are not verified.",
        "The secret of the service may be anywhere.",
        scope=Scope.RECEIVER,
        flag="secret-file",
    )
    receive_format: str = setting(
        "text",
        ValueType("text|jsonl|json", choice("text", "jsonl", "json")),
        "How a resource is written: text has an output that is a text as it is, jsonl all as JSON, one a line; "
        "json has the whole webhook.",
        "A transcript is a text that people read.",
        scope=Scope.RECEIVER,
        flag="format",
    )
    receive_field: str | None = setting(
        None,
        POINTER,
        "JSON Pointer to what is written of each output, as in /text; not for the format json.",
        "The whole output.",
        scope=Scope.RECEIVER,
        flag="field",
    )

    unsafe_synchronous: str = setting(
        "full",
        ValueType("full|normal", choice("full", "normal")),
        "UNSAFE, only to test the tests: with normal, a power cut loses acknowledged packets.",
        "What is acknowledged is durable.",
        scope=Scope.TEST,
    )

    @property
    def secret_file(self) -> Path:
        """The path of the signing secrets: `webhook_secret_file`, or the file in the data directory."""
        return self.webhook_secret_file or self.data_dir / "webhook.secret"

    @property
    def service_url(self) -> str:
        """The URL of the service: `url`, or where it listens. Raises `ConfigError` where that is any port."""
        if self.url is not None:
            return self.url
        if self.port == 0:
            raise ConfigError("port is 0, so the port of the service is unknown: name the service with --url")
        return f"http://{_reached_at(self.host)}:{self.port}"


def _reached_at(host: str) -> str:
    """The host by which a program on this machine reaches a service that listens on *host*."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"  # noqa: PLR2004 - the version
    return f"[{host}]" if address.version == 6 else host  # noqa: PLR2004 - as above


OPTIONS: dict[str, Option] = options_of(Settings)
"""Every setting by name, in the order of the table."""
TABLES: dict[str, Tables] = {name: found for name, found in declared(Settings).items() if isinstance(found, Tables)}
"""What comes as tables within the table, by name."""


def option_of(name: str) -> Option:
    """The option *name*: of the table, or as in ``endpoints.NAME.url`` of one in it."""
    outer, _, inner = name.partition(".")
    return options_of(TABLES[outer].row)[inner.partition(".")[2]] if inner else OPTIONS[name]


def default(name: str) -> str | None:
    """The default of the setting *name* as a user would write it; `None` where there is none."""
    return OPTIONS[name].written(getattr(Settings, name))


def flag(name: str) -> str:
    """The flag of the setting *name*, as in ``--data-dir``."""
    return "--" + (OPTIONS[name].flag or name.replace("_", "-"))


def variable(name: str) -> str:
    """The environment variable of the setting *name*, as in ``COLLATOR_DATA_DIR``."""
    return "COLLATOR_" + name.upper()
