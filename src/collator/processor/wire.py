"""The protocol between the service and a process that calls the processor: frames over a pair of pipes.

A frame is its length in 8 bytes, the number of the process that wrote it in 4, and a message in MessagePack. The
service says the `Setup` once, then a `Job` for each call. The process says `FunctionReady` once, then answers each job
in order with `JobDone` or, for a batch that failed, `BatchFailedReply`; and whenever a call takes long, `JobsReturned`:
jobs behind it that it has not begun and now will not. Every reply names its jobs, and what another process wrote, which
has the pipe by a fork, is none.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from typing import TypeVar

import msgspec

from collator.errors import ProcessorFailed
from collator.messages import Failure, Fault, Lease, Output, Result, Retry, Task
from collator.processor.outcomes import BatchFailed

T = TypeVar("T")

_HEAD = struct.Struct(">QI")
_UNBOUNDED = 2**40


class Garbled(ProcessorFailed):
    """The function wrote into a pipe that was not its own."""


class Setup(msgspec.Struct, frozen=True, array_like=True):
    """The function to call, and its limits."""

    spec: str
    """``MODULE:FUNCTION``."""
    batch: int
    retries: int
    max_output: int
    """Bytes."""
    quote: bool
    """Whether reasons may have what the function says."""
    memory: int | None
    """Bytes of address space that the process may have."""


class Job(msgspec.Struct, frozen=True, array_like=True):
    """One call."""

    number: int
    """Of this job, among all that the process ever gets."""
    tasks: list[Task]


class FunctionReady(msgspec.Struct, frozen=True, array_like=True):
    """The function is there, or it cannot be used."""

    problem: str = ""


class OutputAnswer(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """An output."""

    output: bytes


class RetryAnswer(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A failed attempt, and the seconds until the next."""

    reason: str
    delay: float
    fault: Fault | None = None


class FailureAnswer(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """A failure for good."""

    reason: str
    fault: Fault | None = None


TaskAnswer = OutputAnswer | RetryAnswer | FailureAnswer


class JobDone(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The job *number* has ended, with an answer for each of its tasks."""

    number: int
    answers: list[TaskAnswer]


class BatchFailedReply(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The batch of the job *number* failed as a whole."""

    number: int
    failed: BatchFailed


class JobsReturned(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """The jobs *numbers* were not begun."""

    numbers: list[int]


ChildReply = JobDone | BatchFailedReply | JobsReturned


def frame(message: object) -> bytes:
    """*message* as a frame of this process."""
    data = msgspec.msgpack.encode(message)
    return _HEAD.pack(len(data), os.getpid()) + data


class Frames:
    """The messages that come from one process, in frames of at most *limit* bytes.

    *read* gives so many bytes, less only at the end.
    """

    def __init__(self, read: Callable[[int], bytes], *, limit: int = _UNBOUNDED) -> None:
        self._read = read
        self._limit = limit
        self._writer: int | None = None  # a process by another number than it was started under: a launcher is between

    def reader(self, kind: type[T] | object) -> Callable[[], T | None]:
        """A function that reads the next message, of *kind*; `None` at the end, and where a frame breaks off.

        It raises `Garbled` for whatever is none, or comes from another process than the first.
        """
        decode = msgspec.msgpack.Decoder(kind).decode

        def read() -> T | None:
            data = self._next()
            try:
                return None if data is None else decode(data)
            except msgspec.MsgspecError:
                raise Garbled from None

        return read

    def _next(self) -> bytes | None:
        head = self._read(_HEAD.size)
        if len(head) < _HEAD.size:
            return None
        size, writer = _HEAD.unpack(head)
        if self._writer not in {None, writer} or not 0 < size <= self._limit:
            raise Garbled
        self._writer = writer
        data = self._read(size)
        return data if len(data) == size else None


def answer_of(result: Result) -> TaskAnswer:
    """*result* without its lease."""
    if isinstance(result, Output):
        return OutputAnswer(result.output)
    if isinstance(result, Retry):
        return RetryAnswer(result.reason, result.delay, result.fault)
    return FailureAnswer(result.reason, result.fault)


def result_of(answer: TaskAnswer, lease: Lease, now: float) -> Result:
    """*answer*, which came *now*, as the result of the task of *lease*."""
    if isinstance(answer, OutputAnswer):
        return Output(lease, answer.output, now)
    if isinstance(answer, RetryAnswer):
        return Retry(lease, answer.reason, answer.delay, fault=answer.fault)
    return Failure(lease, answer.reason, answer.fault)
