"""A profile of the service while a job runs, where py-spy is installed; the bench itself does not need it."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from collator.cli.children import STOP
from collator.errors import ConfigError

_RATE = "200"  # samples a second


def profiler() -> str:
    """The program that profiles. `ConfigError` where it is not there."""
    found = shutil.which("py-spy") or shutil.which("py-spy", path=Path(sys.executable).parent)
    if found is None:
        raise ConfigError("--profile needs py-spy on the PATH or beside this Python: pip install py-spy")
    return found


@asynccontextmanager
async def profiled(directory: Path | None, name: str, pid: int) -> AsyncIterator[None]:
    """Profile the process *pid* while the context is open into *directory*, if there is one.

    The file has a line for each stack, the thread first, and how often it was seen: what flame graphs are drawn from.
    """
    if directory is None:
        yield
        return
    output = str(directory / f"{name}.stacks")
    options = ("--format", "raw", "--threads", "--rate", _RATE, "--duration", "unlimited", "--output", output)
    process = await asyncio.create_subprocess_exec(
        profiler(), "record", *options, "--pid", str(pid), stdout=DEVNULL, stderr=DEVNULL, start_new_session=True
    )
    try:
        yield
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)  # it writes its file, and ends
        await asyncio.wait_for(process.wait(), STOP)
