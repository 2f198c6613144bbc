"""Faults in system calls, by strace: a disk that fails, and a death at an exact point."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from tests.harness.service import ServiceProcess
from tests.requirements import need
from tests.wait import until


def under_fault(call: str, fault: str, when: str) -> Sequence[str]:
    """The program to start a service under, so that it has *fault* at its system call *call* number *when*.

    *fault* in strace's words, as ``error=EIO``; *when* is counted in each thread. The tracer is the grandchild, so that
    the service stays a child of the test.
    """
    need(_can_trace(), "strace, and the right to trace a child")
    return ["strace", "-D", "-f", "-qqq", "-o", "/dev/null", *_fault(call, fault, when)]


@asynccontextmanager
async def from_now_on(service: ServiceProcess, call: str, fault: str) -> AsyncIterator[None]:
    """Every *call* of the running *service* has *fault*, in all threads, while the context is open."""
    need(_can_trace(), "strace, and the right to trace a child")
    said = service.home / "strace.log"
    command = ["strace", "-f", "-p", str(service.pid()), "-o", "/dev/null", *_fault(call, fault, "1+")]
    with said.open("wb") as file:
        tracer = _spawn(command, file)
    try:
        await until(lambda: " attached" in said.read_text() or tracer.poll() is not None)
        assert tracer.poll() is None, said.read_text()
        yield
    finally:
        tracer.terminate()  # it lets go of the service
        tracer.wait()


def _spawn(command: Sequence[str], output: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)


def _fault(call: str, fault: str, when: str) -> list[str]:
    return ["-e", f"trace={call}", "-e", f"inject={call}:{fault}:when={when}"]


def _can_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    return (
        subprocess.run(["strace", "-D", "-o", Path("/dev/null"), "true"], capture_output=True, check=False).returncode
        == 0
    )
