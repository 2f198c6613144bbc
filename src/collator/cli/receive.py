"""`collator receive`: a receiver of webhooks that writes one file a resource, for trying and as a model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from collator.cli.command import command
from collator.cli.filing import file_for, write_durably
from collator.cli.inbox import Inbox, Received, Reply
from collator.cli.phrases import near
from collator.cli.terminal import say
from collator.directory import make, writable
from collator.settings import Scope, Settings
from collator.signals import on_stop
from collator.signing import Secret, SecretFile
from collator.words import shown

QUIET = 1.0
"""Seconds after a line on what was refused in which there is no other."""
SHOWN = 60
"""Characters of the id of what was refused."""


@command(
    Scope.RECEIVER,
    short="Receive webhooks, and write a file for each resource.",
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

    A resource is written to DIR/NAME.txt, one output a line, as JSON; one that ended incomplete to
    DIR/NAME.incomplete.json. A webhook is answered with success once its file is safe on the disk; one that comes again
    writes the same file again. One that the secret did not sign is refused with 401, and a line says so.

    NAME is the ID with all but ASCII letters, digits, -, _ and dots that do not begin it written as %xx, byte by byte.
    It has ~ and a hash of the ID before its first dot, or at its end, where it has capitals, as there are file systems
    on which A and a are one, where Windows reserves it, and where it is longer than 150 characters, at which it is cut.
    """
    asyncio.run(_receive(settings))


async def _receive(settings: Settings) -> None:
    secrets = _secrets(settings.receive_secret_file)
    refusals = _Refusals()
    directory = near(settings.receive_dir)
    filer = _Filer(writable(make(directory, option="--dir"), option="--dir"), refusals)
    host, port = settings.receive_host, settings.receive_port
    async with Inbox(filer.take, host=host, port=port, secrets=secrets, refused=refusals.tell) as inbox:
        _greet(inbox.url, directory, verified=secrets is not None)
        await _told_to_stop()
    say(f"stopped: {filer.written} written")


class _Filer:
    def __init__(self, directory: Path, refusals: _Refusals) -> None:
        self.written = 0
        self._refusals = refusals
        self._directory = directory

    async def take(self, received: Received) -> Reply:
        try:
            name, content = file_for(received.body)
        except ValueError as error:
            self._refusals.tell(received, shown(error))
            return Reply(400, f"not a webhook of Collator: {shown(error)}")
        path = self._directory / name
        try:
            await asyncio.to_thread(write_durably, path, content)
        except OSError as error:
            say(f"cannot write {path}: {error.strerror}", err=True)
            return Reply(503, "the file cannot be written")
        self.written += 1
        with suppress(OSError):  # the file is safe, and the sender hears so, whoever may read this
            say(f"{path}  {len(content)} bytes")
        return Reply(204)


class _Refusals:
    """Tells of requests that were refused. Anyone can send them: so one line a `QUIET`, with nothing but the id."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._quiet_until = 0.0
        self._untold = 0

    def tell(self, received: Received, why: str) -> None:
        if self._now() < self._quiet_until:
            self._untold += 1
            return
        name = f"webhook {received.webhook_id[:SHOWN]!a}" if received.webhook_id else "a request without a webhook-id"
        more = f" (and {self._untold} more since the last such line)" if self._untold else ""
        say(f"refused: {name}: {why}{more}", err=True)
        self._quiet_until, self._untold = self._now() + QUIET, 0


def _secrets(path: Path | None) -> Callable[[], Sequence[Secret]] | None:
    return SecretFile(path).current if path else None


def _greet(url: str, directory: Path, *, verified: bool) -> None:
    trust = "signatures are verified" if verified else "nothing is verified: anyone who reaches it can write here"
    say(f"receiving at {url} into {directory}; {trust}")


async def _told_to_stop() -> None:
    stop = asyncio.Event()
    on_stop(stop.set)
    await stop.wait()
