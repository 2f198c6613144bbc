"""`collator worker`: a Celery worker. Turns the settings into an environment, and becomes Celery's own command."""

from __future__ import annotations

import importlib.util
import os
import secrets
import socket
import sys

import click

from collator.cli.command import command
from collator.errors import ConfigError
from collator.settings import OPTIONS, Settings, variable

_QUIET = ("--without-gossip", "--without-mingle", "--without-heartbeat")
"""Workers need to know nothing of each other."""


@command(
    some=(
        "broker",
        "processor",
        "batch",
        "hedge",
        "processor_request",
        "processor_output",
        "processor_headers_file",
        "processor_method",
        "processor_keep_alive",
        "egress_allow",
        "egress_deny",
        "tls_ca_file",
        "tls_client_cert",
        "tls_client_key",
    ),
    others=True,
    short="Run a Celery worker for services at a broker.",
    examples=(
        (
            "As many processes as there are processors, each with one call at a time",
            "collator worker --broker redis://127.0.0.1:6379/0 --processor words:lengths",
        ),
        (
            "64 calls at a time of a service that waits for others, with options of Celery",
            "collator worker --broker amqp://127.0.0.1/ --processor http://127.0.0.1:8080/ -P threads -c 64",
        ),
        (
            "The same with Celery's own command",
            "COLLATOR_BROKER=redis://127.0.0.1:6379/0 celery -A collator.workers.celery worker -l info",
        ),
    ),
)
@click.argument("celery", metavar="[CELERY_OPTION]…", nargs=-1, type=click.UNPROCESSED)
def worker(*, settings: Settings, celery: tuple[str, ...]) -> None:
    """Call the processor for the packets that services with --workers celery send to the broker.

    Options that are not listed here are Celery's: -P (prefork, threads, solo or gevent) and -c say how many calls are
    made at a time, -l info what is logged; celery worker --help lists them. Time limits and retries are those of the
    service. A worker needs no other access than to the broker.
    """
    if importlib.util.find_spec("celery") is None:
        raise ConfigError("this command needs Celery: pip install 'collator[celery]'")
    if not settings.broker:
        raise click.UsageError("give the address of the broker: --broker redis://127.0.0.1:6379/0")
    if "eventlet" in " ".join(celery):
        raise click.UsageError("the pool eventlet is not supported, as its maintainers have frozen it; use -P gevent")
    named = any(option == "-n" or option.startswith(("-n", "--hostname")) for option in celery)
    name = () if named else ("-n", f"collator-{secrets.token_hex(3)}@{socket.gethostname()}")
    arguments = ["-m", "celery", "-A", "collator.workers.celery", "worker", *_QUIET, *name, *celery]
    given = {variable(name): option.written(getattr(settings, name)) for name, option in OPTIONS.items()}
    environment = {name: text for name, text in given.items() if text is not None}  # they count before those of a file
    os.execve(sys.executable, [sys.executable, *arguments], {**os.environ, **environment})  # noqa: S606
