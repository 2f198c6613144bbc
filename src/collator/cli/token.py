"""`collator token`: a new token for who asks the service, and the line by which the service knows it."""

from __future__ import annotations

import os
from pathlib import Path

import click

from collator.cli.command import command
from collator.cli.service_call import json_option, print_answer
from collator.cli.terminal import print_lines
from collator.errors import ConfigError
from collator.files import exposure, require_file
from collator.tokens import Role, generate_token, line_for


@command(
    short="Create an access token for the service.",
    examples=(
        ("A token for a sender, and its line for the file of --tokens-file", "collator token desk"),
        (
            "Add the line to that file, and the token to another",
            "(umask 077; collator token me --add-to tokens >my.token)",
        ),
        ("A token that may send packets and read results", "collator token desk --role send --role read"),
        ("A token for the resources of one tenant", "collator token acme --role send --role read --prefix acme/"),
    ),
)
@click.argument("name")
@click.option(
    "--role",
    "roles",
    type=click.Choice([role.value for role in Role]),
    multiple=True,
    default=[Role.SEND.value],
    help="Role: send packets, read, or everything (admin). May be repeated.  [send]",
)
@click.option(
    "--prefix",
    "prefixes",
    multiple=True,
    metavar="TEXT",
    help="Only for resources whose ID begins with this prefix. May be repeated.  [all]",
)
@click.option(
    "--add-to",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Add the line to FILE; it is created if it does not exist.",
)
@json_option
def token(*, name: str, roles: tuple[str, ...], prefixes: tuple[str, ...], add_to: Path | None, as_json: bool) -> None:
    """Make a token by which NAME may ask the service. It is shown this once, and stored nowhere.

    The service knows it by a line in its tokens file, which holds a hash and not the token. The file is read again
    when it changes: to take a token back, remove its line. Under the systemd unit the service has a copy of the file:
    there a change counts from the next systemctl restart collator.
    """
    made = generate_token()
    try:
        line = line_for(made, roles=map(Role, roles), name=name, prefixes=prefixes)
    except ConfigError as error:
        raise click.UsageError(error.detail) from None
    if add_to is not None:
        _add(line, add_to)
    said = [made] if add_to else [f"token  {made}", f"line   {line}"]
    print_answer({"token": made, "line": line}, said, as_json=as_json)


def _add(line: str, path: Path) -> None:
    """Add *line* to the file *path*, which only its owner may write."""
    try:
        if path.exists():
            require_file(path)
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 1))
            whole = file.read(1) in {b"", b"\n"}
            file.write(f"{line}\n".encode() if whole else f"\n{line}\n".encode())
            problem = exposure(path, os.fstat(file.fileno()), secret=False)
    except OSError as error:
        raise ConfigError(f"--add-to {path}: cannot be written: {error.strerror}") from None
    if problem:
        print_lines(f"collator: --add-to {path}: {problem}", err=True)
