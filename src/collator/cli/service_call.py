"""Calls of commands to a service: the client with its token, one question, and its answer in two forms."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from collator.cli.terminal import print_json, print_lines
from collator.client import Client
from collator.errors import ConfigError, Denied, Unknown
from collator.files import exposure, read_file
from collator.settings import Settings
from collator.text import quoted

_MOST_TOKEN = 4096  # bytes of the file of a token
QUIET = 2.0
"""Seconds without an answer after which that is said, as the address may be wrong."""

R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., object])


def ask(settings: Settings, question: Callable[[Client], Awaitable[R]]) -> R:
    """Put *question* to the service of *settings*, and return its answer. Raises what the client raises."""

    async def run() -> R:
        async with client(settings) as asked:
            answer = asyncio.ensure_future(question(asked))
            if not (await asyncio.wait([answer], timeout=QUIET))[0]:
                print_lines(f"collator: {no_answer(settings)}", err=True)
            return await answer

    return asyncio.run(run())


async def require_endpoint(client: Client, name: str | None) -> None:
    """Raise `Unknown`, with those that there are, where there is no endpoint *name*."""
    if name is None:
        return
    try:
        known = [one["name"] for one in (await client.endpoints())["endpoints"]]
    except Denied:  # a token for some resources is not told
        return
    if name not in known:
        raise Unknown(f"there is no endpoint {quoted(name)}; there are: {', '.join(known) or 'none'}")


def client(settings: Settings, **options: Any) -> Client:  # noqa: ANN401 - those of the client
    """A client of the service of *settings*. `ConfigError` where the file of the token cannot be used."""
    return Client(settings.service_url, token=_token(settings.token_file), **options)


def no_answer(settings: Settings) -> str:
    """The notice that the service is slow, or at another address."""
    return f"no answer from {settings.service_url} yet"


def json_option(function: F) -> F:
    """The option ``--json``, as *as_json*."""
    return click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")(function)


def print_answer(answer: object, lines: Iterable[str], *, as_json: bool) -> None:
    """Print *answer* as JSON, or the *lines* that say the same to a person."""
    if as_json:
        print_json(answer, pretty=True)
    else:
        print_lines(*lines)


def _token(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        found, content = read_file(path, _MOST_TOKEN)
        words = content.decode("ascii").split()
    except OSError as error:
        raise ConfigError(f"--token-file {path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        words = []
    else:
        if problem := exposure(path, found, secret=True):
            print_lines(f"collator: --token-file {path}: {problem}", err=True)
    if len(words) != 1:
        raise ConfigError(f"--token-file {path}: the file must contain exactly one token")
    return words[0]
