"""What passes between the service and a process that calls the processor: frames over a pair of pipes.

A frame is its length in 4 bytes and a message in MessagePack. The service says the `Setup` once, then jobs: the tasks
of one call each. The process says `Ready` once, then answers the jobs in order, each task with `Gave`, `Again` or
`Ended`, a batch that failed with one `Apart`; and whenever a call takes long, `Returned`: jobs that it has not begun
and now will not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import msgspec

from collator.exchange import Failure, Output, Result, Retry, Task
from collator.processor.endings import Apart

Job = list[Task]
T = TypeVar("T")

_HEAD = 4


class Setup(msgspec.Struct, frozen=True, array_like=True):
    """What to call, and on which terms."""

    spec: str
    """``MODULE:FUNCTION``."""
    batch: int
    retries: int
    max_output: int
    """Bytes."""
    memory: int | None
    """Bytes of address space that the process may have."""


class Ready(msgspec.Struct, frozen=True, array_like=True):
    """The function is there, or it cannot be used."""

    problem: str = ""


class Gave(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """An output."""

    output: bytes


class Again(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A failed attempt, and the seconds until the next."""

    reason: str
    delay: float


class Ended(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A failure for good."""

    reason: str


class Returned(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The last *count* jobs were not begun."""

    count: int


Reply = Gave | Again | Ended | Apart | Returned


class Stream(Protocol):
    """Where frames come from."""

    def read(self, size: int, /) -> bytes | None:
        """*size* bytes, less only at the end."""
        ...


def frame(message: object) -> bytes:
    """*message* as a frame."""
    data = msgspec.msgpack.encode(message)
    return len(data).to_bytes(_HEAD) + data


def reader(stream: Stream, kind: type[T] | object) -> Callable[[], T | None]:
    """What gives the next message of *kind* from *stream*; `None` at the end, and where a frame breaks off."""
    decode = msgspec.msgpack.Decoder(kind).decode

    def read() -> T | None:
        head = stream.read(_HEAD) or b""
        size = int.from_bytes(head)
        data = stream.read(size) or b"" if len(head) == _HEAD else b""
        return decode(data) if data and len(data) == size else None

    return read


def reply_of(result: Result) -> Reply:
    """*result* without its lease."""
    if isinstance(result, Output):
        return Gave(result.output)
    if isinstance(result, Retry):
        return Again(result.reason, result.delay)
    return Ended(result.reason)


def result_of(reply: Gave | Again | Ended, lease: int, now: float) -> Result:
    """*reply*, which came *now*, as the result of the task of *lease*."""
    if isinstance(reply, Gave):
        return Output(lease, reply.output, now)
    if isinstance(reply, Again):
        return Retry(lease, reply.reason, reply.delay)
    return Failure(lease, reply.reason)
