"""`collator secret`: the secrets that sign webhooks, for a person who gives them to receivers and replaces them.

They are read from their file, and changed in it: a service that runs reads it again, and a stopped one at its start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import click

from collator import logs
from collator.cli.command import WIDE, Examples, command, epilog
from collator.cli.phrases import near
from collator.cli.service_call import json_option
from collator.cli.terminal import print_json, print_lines, print_secrets
from collator.delivery.configuration import DEFAULT
from collator.errors import ConfigError
from collator.settings import Settings
from collator.signing import finish_rotation, generate_secret, read_secret_file, rotate_secret_file

_FILE_SETTINGS = ("data_dir", "webhook_secret_file")
_NOTICE = "who has this secret can sign webhooks in the name of the service, and this terminal now shows it"


def _endpoint_option(function: Callable[..., None]) -> Callable[..., None]:
    return click.option(
        "--endpoint", metavar="NAME", default=DEFAULT, help="The secrets of this endpoint of the settings.  [default]"
    )(function)


@command(
    some=_FILE_SETTINGS,
    short="Print the secret that signs webhooks.",
    examples=(
        ("The secret, for the settings of a receiver", "collator secret show"),
        ("In a file that a library of a receiver takes as it is", "collator secret show >receiver.secret"),
        ("Both of them, while one replaces the other", "collator secret show --all"),
        ("That of an endpoint with a secret of its own", "collator secret show --endpoint crm"),
    ),
)
@_endpoint_option
@click.option("--all", "every", is_flag=True, help="All secrets that sign, one a line, the current one first.")
@json_option
def show(*, settings: Settings, endpoint: str, every: bool, as_json: bool) -> None:
    """Print the secret that signs webhooks: of several, the current one, which is the first in their file.

    On a terminal with a warning. Elsewhere there is no end of a line behind it, as not every library takes one.
    """
    path = _file(settings, endpoint)
    texts = read_secret_file(path)
    _print(texts if every else texts[:1], path, as_json=as_json)


@command(
    some=_FILE_SETTINGS,
    short="Replace the secret, in two steps.",
    examples=(
        ("A new secret, beside the old one", "collator secret rotate"),
        ("All receivers have the new one: take the old one away", "collator secret rotate --finish"),
        ("For an endpoint with a secret of its own", "collator secret rotate --endpoint crm"),
    ),
)
@_endpoint_option
@click.option("--finish", is_flag=True, help="Remove all secrets but the current one.")
@json_option
def rotate(*, settings: Settings, endpoint: str, finish: bool, as_json: bool) -> None:
    """Put a new secret above the old one, and print it. From then on every webhook has a signature by each of them.

    A receiver accepts a webhook by either secret, so receivers can be given the new one in any order. When all have it,
    --finish removes the old one. A service that runs reads the file again within a second. Nodes on several machines
    have a copy of the file each: copy it to all of them before a receiver gets the new secret.
    """
    path = _file(settings, endpoint)
    texts = finish_rotation(path) if finish else rotate_secret_file(path)
    if finish and not as_json:
        print_lines(f"one secret signs now, the current one: {near(path)}")
        return
    _print(texts[:1], path, as_json=as_json)
    if not as_json:
        print_lines(f"collator: {near(path)}: both sign now; when all receivers have the new one: --finish", err=True)


@command(
    short="Print a new secret, and store it nowhere.",
    examples=(
        ("A secret for a service that has not started yet", "collator secret new >webhook.secret"),
        ("For a program", "collator secret new --json"),
    ),
)
@json_option
def new(*, as_json: bool) -> None:
    """Print a new secret of 32 random bytes. It is stored nowhere."""
    _print([generate_secret()], None, as_json=as_json)


_EXAMPLES: Examples = (
    ("The secret, for the settings of a receiver", "collator secret show"),
    ("Replace it while webhooks are sent", "collator secret rotate"),
    ("The old one is no longer needed", "collator secret rotate --finish"),
)
secret = click.Group(
    "secret",
    [show, rotate, new],
    help="Print and replace the secrets that sign webhooks.",
    epilog=epilog(_EXAMPLES),
    context_settings=WIDE,
    subcommand_metavar="VERB …",
)


def _file(settings: Settings, endpoint: str) -> Path:
    """The file of the secrets of *endpoint*, or of the service."""
    logs.configure_for_library()  # warnings go to the standard error
    files = {DEFAULT: None, **{one.name: one.secret_file for one in settings.endpoints}}
    if endpoint not in files:
        raise ConfigError(f"--endpoint {endpoint}: the settings have only {', '.join(files)}")
    return files[endpoint] or settings.secret_file


def _print(texts: Sequence[str], path: Path | None, *, as_json: bool) -> None:
    if as_json:
        print_json({"secrets": texts, "file": str(path) if path else None}, pretty=True)
    else:
        print_secrets(*texts, notice=f"collator: {_NOTICE}")
