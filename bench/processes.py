"""The child processes of the bench: started, asked, and ended by their id on every way out."""

from __future__ import annotations

import asyncio
import http.client
import os
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import collator
from collator.errors import CollatorError
from collator.ledgers.sqlite.store import DATABASE

T = TypeVar("T")

STORE = "store"
START, STOP = 20.0, 20.0
"""Seconds that a child may take to be ready, and to end when it is told to."""
ROOT = Path(__file__).parents[1]
"""The checkout."""
SOURCE = Path(collator.__file__).parents[1]
"""The folder of the package that is measured, where no other is given."""
_MAX_LINE = 1024 * 1024 * 1024
_LAST_WORDS = 5
_SERVING = re.compile(r"event=serving .*url=http://[^ ]*:(\d+)")


class Helper:
    """A child that is a module of this package: it says its port, if any, answers with lines, ends with its input."""

    def __init__(self, name: str, process: Process) -> None:
        """Talk to *process*."""
        self.pid = process.pid
        self.port = 0
        self._name = name
        self._process = process

    async def ready(self) -> int:
        """Its port, once it listens."""
        try:
            return int(await asyncio.wait_for(self.answer(), START))
        except TimeoutError:
            raise CollatorError(f"the {self._name} was not ready within {START:g} s") from None

    def order(self, line: str) -> None:
        """Send *line*."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    async def answer(self) -> bytes:
        """The next line."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise CollatorError(f"the {self._name} ended by itself")
        return line


class ServiceProcess:
    """A child that is a service."""

    def __init__(self, process: Process, database: Path) -> None:
        """Listen to what *process* logs, whose store on SQLite is *database*."""
        self.pid = process.pid
        self.port = 0
        self.database = database
        self.troubles: list[str] = []
        """What it warned of."""
        self._last: deque[str] = deque(maxlen=_LAST_WORDS)
        self._process = process
        self._serving = asyncio.get_running_loop().create_future()
        self._log = asyncio.create_task(self._read())

    async def serving(self) -> None:
        """Return once it takes packets."""
        try:
            await self.unless_ended(asyncio.wait_for(asyncio.shield(self._serving), START))
        except TimeoutError:
            raise CollatorError(f"the service was not ready within {START:g} s") from None

    async def unless_ended(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what *work* gives; `CollatorError` as soon as the service has ended."""
        task = asyncio.create_task(work)
        try:
            await asyncio.wait({task, self._log}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise CollatorError("the service ended by itself: " + "\n".join(self._last))
            return task.result()
        finally:
            task.cancel()

    async def metrics(self) -> str:
        """Return what it counts, in the text format of Prometheus."""
        return await asyncio.to_thread(_get, self.port, "/metrics")

    async def _read(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self._hear(line.decode("utf-8", "replace").rstrip())

    def _hear(self, line: str) -> None:
        self._last.append(line)
        serving = _SERVING.search(line)
        if serving:
            self.port = int(serving[1])
            self._serving.set_result(None)
        elif "level=info" not in line:
            self.troubles.append(line)


@asynccontextmanager
async def helper(name: str) -> AsyncIterator[Helper]:
    """The module *name* of this package as a child, ready."""
    arguments = (sys.executable, "-m", f"{__package__}.{name}")
    process = await asyncio.create_subprocess_exec(
        *arguments, stdin=PIPE, stdout=PIPE, env=environment(ROOT, SOURCE), limit=_MAX_LINE, start_new_session=True
    )
    try:
        child = Helper(name, process)
        child.port = await child.ready()
        yield child
    finally:
        await end(process)


@asynccontextmanager
async def service(
    directory: Path, webhook: str, changed: Mapping[str, str], source: Path | None = None, python: str = sys.executable
) -> AsyncIterator[ServiceProcess]:
    """A service with its store in *directory*, which delivers to *webhook*; *changed* are settings by name.

    It is that of *source*, the ``src`` of a checkout, or of this one, and run by *python*.

    It knows no other settings: neither the environment's nor those of a file count.
    """
    arguments = ("--host", "127.0.0.1", "--port", "0", "--data-dir", STORE, "--webhook", webhook)
    settings = {f"COLLATOR_{name.upper()}": value for name, value in changed.items()}
    process = await asyncio.create_subprocess_exec(
        *(python, "-m", "collator", "serve", *arguments),
        cwd=directory,
        env=environment(source or SOURCE, ROOT) | settings,
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=PIPE,
        start_new_session=True,  # Ctrl-C is for the bench, which then ends its children in order
    )
    try:
        child = ServiceProcess(process, directory / STORE / DATABASE)
        await child.serving()
        yield child
    finally:
        await end(process)


def environment(*paths: Path) -> dict[str, str]:
    """The environment without settings of Collator, in which Python finds modules in *paths* first."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COLLATOR_")}
    return kept | {"PYTHONPATH": os.pathsep.join([*map(str, paths), *filter(None, [kept.get("PYTHONPATH")])])}


async def end(process: Process) -> None:
    """End *process*, as a service wants to be ended. Raises `CollatorError` where it had to be killed."""
    if process.returncode is None:
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP)
    except TimeoutError:
        raise CollatorError(f"process {process.pid} did not end within {STOP:g} s, and was killed") from None
    finally:
        if process.returncode is None:
            process.kill()


def _get(port: int, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()
