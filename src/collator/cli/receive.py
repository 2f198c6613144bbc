"""`collator receive`: a receiver of webhooks that writes one file a resource, for trying and as a model."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from collator.cli.command import command
from collator.cli.exits import cannot_listen
from collator.cli.filing import file_for, write_durably
from collator.cli.inbox import Inbox, Received, Reply
from collator.directory import make, writable
from collator.settings import Scope, Settings
from collator.signals import on_stop
from collator.signing import Secret, SecretFile


@command(
    Scope.RECEIVER,
    examples=(
        ("Write what a service on this machine finishes to received/", "collator receive"),
        (
            "The same, and refuse what that service did not sign",
            "collator receive --secret-file collator-data/webhook.secret",
        ),
        ("On another port, to another directory", "collator receive --port 9100 --dir transcripts"),
    ),
)
def receive(*, settings: Settings) -> None:
    """Receive webhooks, and write one file for each finished resource.

    A resource is written to DIR/ID.txt, one output a line, as JSON; one that ended incomplete to
    DIR/ID.incomplete.json. Characters that a file name cannot hold are written as %xx. A webhook is answered with
    success once its file is safe on the disk; a webhook that comes again writes the same file again.
    """
    asyncio.run(_receive(settings))


async def _receive(settings: Settings) -> None:
    secrets = _secrets(settings.receive_secret_file)
    filer = _Filer(writable(make(settings.receive_dir, option="--dir"), option="--dir"))
    inbox = Inbox(filer.take, host=settings.receive_host, port=settings.receive_port, secrets=secrets)
    try:
        async with inbox:
            _greet(inbox.url, settings.receive_dir, verified=secrets is not None)
            await _told_to_stop()
    except OSError as error:
        raise cannot_listen(settings.receive_host, settings.receive_port, error) from None
    click.echo(f"stopped: {filer.written} written")


class _Filer:
    def __init__(self, directory: Path) -> None:
        self.written = 0
        self._directory = directory

    async def take(self, received: Received) -> Reply:
        try:
            name, content = file_for(received.body)
        except ValueError as error:
            click.echo(f"refused {received.webhook_id or 'a request'}: {error}", err=True)
            return Reply(400, f"not a webhook of Collator: {error}")
        path = self._directory / name
        try:
            await asyncio.to_thread(write_durably, path, content)
        except OSError as error:
            click.echo(f"cannot write {path}: {error.strerror}", err=True)
            return Reply(503, "the file cannot be written")
        self.written += 1
        click.echo(f"{path}  {len(content)} bytes")
        return Reply(204)


def _secrets(path: Path | None) -> Callable[[], Sequence[Secret]] | None:
    return SecretFile(path).current if path else None


def _greet(url: str, directory: Path, *, verified: bool) -> None:
    trust = "signatures are verified" if verified else "nothing is verified: anyone who reaches it can write here"
    click.echo(f"receiving at {url} into {directory}; {trust}")


async def _told_to_stop() -> None:
    stop = asyncio.Event()
    on_stop(stop.set)
    await stop.wait()
