"""`collator receive`: a receiver of webhooks that writes one file a resource, for trying and as a model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from collator import logs
from collator.cli.command import command
from collator.cli.phrases import near
from collator.cli.terminal import print_lines
from collator.cli.webhook_file import NoFileError, file_for, write_newer
from collator.cli.webhook_text import PLAIN, Format, Layout
from collator.directory import make, writable
from collator.errors import ConfigError
from collator.processor.pointer import NothingFoundError, Pointer
from collator.settings import Scope, Settings
from collator.signals import on_stop
from collator.signing import ID, SecretFile
from collator.text import shown
from collator.throttle import Throttle
from collator.web.host_check import allowed_hosts
from collator.web.inbox import Inbox, limits_for
from collator.webhook import Handle, Received, Reply

if TYPE_CHECKING:
    from collator.web.problems import HttpProblem
    from collator.web.refusals import Asked, RefusalLog

QUIET = 1.0
"""Seconds after a line on what was refused in which there is no other."""
SHOWN = 60
"""Characters of the id of what was refused."""
_UNVERIFIED = "warning: everyone who can reach this port can write files: set a secret with --secret-file"


@command(
    Scope.RECEIVER,
    some=("max_body", "allow_host"),
    short="Receive webhooks, and write a file for each resource.",
    examples=(
        ("Write the webhooks of a service on this machine to received/", "collator receive"),
        (
            "The same, and refuse webhooks without its signature",
            "collator receive --secret-file collator-data/webhook.secret",
        ),
        ("On another port, to another directory", "collator receive --port 9100 --dir transcripts"),
        ('Of outputs such as {"text": "…", "words": […]}, the texts', "collator receive --field /text"),
        ("Every output as JSON, for a program", "collator receive --format jsonl"),
    ),
)
def receive(*, settings: Settings) -> None:
    """Receive webhooks, and write one file for each finished resource.

    A resource is written to DIR/NAME.txt, one output after another: an output that is a text as it is, others as JSON,
    each with a line end. --format jsonl writes all of them as JSON, one a line, to DIR/NAME.jsonl; --format json writes
    the whole data of the webhook to DIR/NAME.collated.json. A resource that ended incomplete is written to
    DIR/NAME.incomplete.json. Control characters are written with escapes, but in texts tabs, line ends and form feeds.

    --field writes of each output the value at a JSON Pointer. A webhook with an output that has nothing there is
    refused with 422: nothing is lost, as the service keeps it and sends it again, and its delivery names that output.

    A webhook is answered with success once its file is safe on the disk; one that comes again writes the same file
    again. The time of a file is that at which its resource ended: one that ended before a file of the same ID that is
    there is answered with success, and not written; one that ended later takes its place.

    A test (collator endpoints test) is answered with success, and writes nothing.

    One that the secret did not sign is refused with 401, and a line says so. Without a secret anyone who reaches the
    port can write files; pages in a browser cannot.

    NAME is the ID with all but ASCII letters, digits, -, _ and dots that do not begin it written as %xx, byte by byte.
    It has ~ and a hash of the ID before its first dot, or at its end, where it has capitals, as there are file systems
    on which A and a are one, where Windows reserves it, and where it is longer than 150 characters, at which it is cut.
    """
    asyncio.run(_receive(settings))


async def _receive(settings: Settings) -> None:
    directory = near(settings.receive_dir)
    layout = _layout(settings)
    filer = _FileWriter(writable(make(directory, option="--dir"), option="--dir"), refusals := _Refusals(), layout)
    async with inbox_of(settings, filer.take, refusals) as inbox:
        trust = "signatures are verified" if settings.receive_secret_file else "signatures are not verified"
        print_lines(f"receiving at {inbox.url} into {directory}; {trust}")
        if settings.receive_secret_file is None:
            print_lines(_UNVERIFIED, err=True)
        logs.configure()  # from here on what is printed waits for nobody who reads it
        stop = asyncio.Event()
        on_stop(stop.set)
        await stop.wait()
    print_lines(f"stopped: {filer.written} written")


def inbox_of(settings: Settings, handle: Handle, refusals: RefusalLog) -> Inbox:
    """The server that *settings* of a receiver ask for."""
    secrets = SecretFile(settings.receive_secret_file).current if settings.receive_secret_file else None
    return Inbox(
        handle,
        host=settings.receive_host,
        port=settings.receive_port,
        # A signature says more than a name: whoever has a secret may call this receiver what he likes.
        hosts=None if secrets else allowed_hosts(settings.receive_host, settings.allow_host),
        secrets=secrets,
        limits=limits_for(settings.max_body),
        refusals=refusals,
        strict=True,
    )


def _layout(settings: Settings) -> Layout:
    chosen = Format(settings.receive_format)
    if settings.receive_field is None:
        return Layout(chosen)
    if chosen is Format.JSON:
        raise ConfigError("--field: the format json has the whole webhook; take text or jsonl")
    try:
        return Layout(chosen, Pointer(settings.receive_field))
    except ValueError as error:
        raise ConfigError(f"--field: {error}") from None


class _FileWriter:
    def __init__(self, directory: Path, refusals: _Refusals, layout: Layout = PLAIN) -> None:
        self.written = 0
        self._layout = layout
        self._refusals = refusals
        self._directory = directory

    async def take(self, received: Received) -> Reply:
        path = self._directory
        try:
            file = file_for(received.body, self._layout)
            path /= file.full_name
            size = await asyncio.to_thread(write_newer, self._directory, file)
        except NoFileError:
            with suppress(OSError):
                print_lines(f"test {shown(received.webhook_id, SHOWN)}  nothing is written")
            return Reply(204)
        except (ValueError, RecursionError) as error:
            self._refusals.tell(received.webhook_id, shown(error))
            return Reply(400, f"not a webhook of Collator: {shown(error)}")
        except NothingFoundError as error:
            self._refusals.tell(received.webhook_id, shown(error))
            return Reply(422, shown(error))
        except OSError as error:
            print_lines(f"cannot write {path}: {error.strerror}", err=True)
            return Reply(503, "the file cannot be written")
        self.written += size is not None
        with suppress(OSError):  # the file is safe, and the sender hears so, whoever may read this
            print_lines(f"{path}  {f'{size} bytes' if size is not None else 'not written: the existing file is newer'}")
        return Reply(204)


class _Refusals:
    """Tells of requests that were refused. Anyone can send them: so one line a `QUIET`, with nothing but the id."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._throttle = Throttle(pause=QUIET, now=now)

    def note(self, refusal: HttpProblem, asked: Asked) -> None:
        webhook_id = next((value for name, value in asked.headers if name == ID.encode()), b"")
        self.tell(webhook_id.decode("latin-1"), refusal.detail)

    def note_given_way(self, client: tuple[str, int] | None) -> None:
        self.tell("", f"the connection of {client} had no request, and all connections are in use")

    def tell(self, webhook_id: str, why: str) -> None:
        times = self._throttle.times()
        if not times:
            return
        name = f"webhook {webhook_id[:SHOWN]!a}" if webhook_id else "a request without a webhook-id"
        more = f" (and {times - 1} more since the last such line)" if times > 1 else ""
        print_lines(f"refused: {name}: {why}{more}", err=True)
