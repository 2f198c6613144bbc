"""What travels over the broker, as JSON: jobs to the workers, and what they say of them.

A job is the first argument of the Celery task, as text: what Celery makes of JSON would not be the payload that came
in, so a worker reads the text itself. Results name the job and the places of its packets; which lease that is, only the
node knows.

Workers may be older or newer than their node by one release. A field or an argument that is added comes last and has a
default: who does not know it does not read it. Where that is not enough, the next `VERSION`, the second argument of
the task, says so. A worker answers in the version of the job, and refuses one that it cannot read; `JobRefused` and
`WorkerHeartbeat` are the same in all versions, so that it can say so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from collator.messages import Failure, Fault, Lease, Output, Result, Retry, Task
from collator.processor import CallEnding, Cause, OutcomeFactory, Sign

TASK = "collator.process"
"""The name of the task."""
QUEUE = "collator"
"""The queue of the jobs."""
VERSION = 1
"""Of what travels."""
READABLE = frozenset({VERSION})
"""The versions that a worker can read and answer."""

NO_JSON = msgspec.Raw(b"null")


class JobPacket(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One packet of a job."""

    resource_id: str
    generation: bytes
    index: int
    attempt: int
    payload: msgspec.Raw
    metadata: msgspec.Raw = NO_JSON


class CallLimits(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """The limits of calls, which the node's settings say for all its workers."""

    timeout: float
    """Seconds that a call may take."""
    retries: int
    patience: float
    """Seconds for which a packet may go back uncounted."""
    max_output: int
    """Bytes."""
    quote: bool = True
    """Whether a reason may have what a service says, in which there may be a payload."""


class PacketJob(msgspec.Struct, frozen=True, array_like=True):
    """Packets that are processed in one task; none, where the node only asks who is there."""

    limits: CallLimits
    packets: list[JobPacket]


class WorkerState(msgspec.Struct, frozen=True, array_like=True):
    """A worker, as it describes itself."""

    name: str
    """No other has it, and none after it."""
    processes: int
    """That call the processor."""
    tasks: int
    """That each of them has in hand at a time."""
    calls: int
    """That each of them makes at a time, for packets of any task; of a batch each packet counts."""
    trouble: str = ""
    """Why no call is begun, in words."""
    service: str = ""
    """The address of the HTTP service that it calls, without what may be a secret; empty where it calls none."""


class WorkerProgram(msgspec.Struct, frozen=True, array_like=True):
    """What a worker is made of, which never changes."""

    host: str
    pool: str
    """Celery's."""
    processor: str
    """Without credentials."""
    version: str
    """Of Collator."""


class JobOutput(msgspec.Struct, frozen=True, array_like=True, tag="output"):
    """An output."""

    output: msgspec.Raw


class JobRetry(msgspec.Struct, frozen=True, array_like=True, tag="retry"):
    """A failed attempt, and the seconds until the next."""

    reason: str
    delay: float
    counted: bool = True
    fault: Fault | None = None
    sign: Sign = Sign.ANSWERED
    """What it says of the service, where one is called."""


class JobFailure(msgspec.Struct, frozen=True, array_like=True, tag="failure"):
    """A failure for good."""

    reason: str
    fault: Fault | None = None
    sign: Sign = Sign.ANSWERED
    """As in `JobRetry`."""


class CallRefused(msgspec.Struct, frozen=True, array_like=True, tag="call_refused"):
    """The service did not take the packet; what that means for it, its node decides."""

    cause: Cause
    sign: Sign
    reason: str
    after: float = 0.0
    """Seconds for which it asks to be left alone."""
    status: int = 0


class NotBegun(msgspec.Struct, frozen=True, array_like=True, tag="not_begun"):
    """No call was made."""


CallAnswer = JobOutput | JobRetry | JobFailure | CallRefused
JobAnswer = CallAnswer | NotBegun


class JobAnswers(msgspec.Struct, frozen=True, array_like=True, tag="answers"):
    """Answers for packets, by their jobs and their places in them; none, where a node only asked who is there."""

    worker: WorkerState
    jobs: Sequence[tuple[str, Sequence[tuple[int, JobAnswer]]]]
    seconds: float | None = None
    """The mean time of a call for one of them, where any was made."""
    service_calls: Mapping[str, int] = {}
    """Calls of an HTTP service that have ended since the last answers, by cause."""
    hedges: Mapping[str, int] = {}
    """Second calls that have ended since then, by result."""


class JobEnded(msgspec.Struct, frozen=True, array_like=True, tag="ended"):
    """The process that had a job has ended, or was ended, for *reason*."""

    job: str
    reason: str


class JobRedelivered(msgspec.Struct, frozen=True, array_like=True, tag="redelivered"):
    """A job came out of the queue again; it may have been begun, and was not begun now."""

    job: str


class JobRefused(msgspec.Struct, frozen=True, array_like=True, tag="refused"):
    """A job that a worker cannot read, for *reason*; nothing of it was begun, and no other will be."""

    worker: WorkerState
    job: str
    reason: str


class WorkerHeartbeat(msgspec.Struct, frozen=True, array_like=True, tag="heartbeat"):
    """A worker lives, and has these jobs in hand."""

    worker: WorkerState
    jobs: Sequence[str]
    program: WorkerProgram | None = None


class Nudge(msgspec.Struct, frozen=True, array_like=True, tag="nudge"):
    """Nothing but a reason for a node to look up."""


WorkerReply = JobAnswers | JobEnded | JobRedelivered | JobRefused | WorkerHeartbeat | Nudge

encode = msgspec.json.Encoder().encode
decode_job = msgspec.json.Decoder(PacketJob).decode
decode_reply = msgspec.json.Decoder(WorkerReply).decode


def limits_of(outcomes: OutcomeFactory) -> CallLimits:
    """The limits by which *outcomes* are made."""
    return CallLimits(
        timeout=outcomes.timeout,
        retries=outcomes.retries,
        patience=outcomes.patience,
        max_output=outcomes.max_output,
        quote=outcomes.quote,
    )


def packet_of(task: Task) -> JobPacket:
    """*task* as it travels."""
    key = task.key
    metadata = NO_JSON if task.metadata is None else msgspec.Raw(task.metadata)
    return JobPacket(key.resource_id, key.generation, key.index, task.attempt, msgspec.Raw(task.payload), metadata)


def answer_of(result: Result, sign: Sign = Sign.ANSWERED) -> JobAnswer:
    """*result* without its lease; its call says *sign* of a service."""
    if isinstance(result, Output):
        return JobOutput(msgspec.Raw(result.output))
    if isinstance(result, Retry):
        return JobRetry(result.reason, result.delay, result.counted, result.fault, sign)
    return JobFailure(result.reason, result.fault, sign)


def answer_of_call(result: Result, ending: CallEnding | None) -> JobAnswer:
    """*result* of a call to a service, which ended by *ending*, if anybody waited for its end."""
    if ending is None:
        return answer_of(result, Sign.NOTHING)
    if isinstance(result, Retry) and ending.cause in {Cause.SERVICE, Cause.CONFIGURATION}:
        return CallRefused(ending.cause, ending.sign, result.reason, ending.after, ending.status)
    return answer_of(result, ending.sign)


def result_of(answer: CallAnswer, lease: Lease, now: float) -> Result:
    """*answer*, which came *now*, as the result of the task of *lease*."""
    if isinstance(answer, JobOutput):
        return Output(lease, bytes(answer.output), now)
    if isinstance(answer, CallRefused):
        return Retry(lease, answer.reason, 0.0, counted=False)
    if isinstance(answer, JobRetry):
        return Retry(lease, answer.reason, answer.delay, answer.counted, answer.fault)
    return Failure(lease, answer.reason, answer.fault)


def ending_of(answer: CallAnswer) -> CallEnding:
    """The ending that *answer* tells of: what it says of the service that was called."""
    if isinstance(answer, JobOutput):
        return CallEnding(Cause.OUTPUT, Sign.ANSWERED)
    if isinstance(answer, CallRefused):
        return CallEnding(answer.cause, answer.sign, answer.reason, after=answer.after, status=answer.status)
    return CallEnding(Cause.PACKET, answer.sign, answer.reason)
