"""What travels between nodes and Celery workers of neighbouring releases."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from collator.workers.celery.messages import (
    CallLimits,
    JobAnswers,
    JobEnded,
    JobOutput,
    JobPacket,
    JobRedelivered,
    JobRefused,
    NotBegun,
    Nudge,
    PacketJob,
    WorkerHeartbeat,
    WorkerProgram,
    WorkerReply,
    WorkerState,
    decode_job,
    decode_reply,
    encode,
)

STATE = WorkerState("w", 2, 1, 4)
JOB = PacketJob(
    CallLimits(timeout=30.0, retries=5, patience=3600.0, max_output=1_000_000),
    [JobPacket("a", bytes(16), 1, 1, msgspec.Raw(b'{"n":1.50}'), msgspec.Raw(b"{}"))],
)
REPLIES: tuple[WorkerReply, ...] = (
    JobAnswers(STATE, [("job", [(0, JobOutput(msgspec.Raw(b"1"))), (1, NotBegun())])], 0.1, {"output": 1}, {"won": 1}),
    JobEnded("job", "it was killed"),
    JobRedelivered("job"),
    JobRefused(STATE, "job", "it reads version 1"),
    WorkerHeartbeat(STATE, ["job"], WorkerProgram("host", "threads", "words:lengths", "0.2.0")),
    Nudge(),
)


def added(value: Any) -> Any:  # noqa: ANN401 - JSON
    """*value*, as a release would send it that has a further field in each message and in what it consists of."""
    if isinstance(value, msgspec.Struct):
        fields = [added(getattr(value, name)) for name in value.__struct_fields__]
        tag = value.__struct_config__.tag
        return [*([] if tag is None else [tag]), *fields, {"of": "the next release"}]
    return [added(one) for one in value] if isinstance(value, list | tuple) else value


def test_fields_that_a_worker_does_not_know_are_not_read() -> None:
    assert decode_job(encode(JOB)) == JOB
    assert decode_job(encode(added(JOB))) == JOB


@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: type(reply).__name__)
def test_fields_that_a_node_does_not_know_are_not_read(reply: WorkerReply) -> None:
    assert encode(decode_reply(encode(reply))) == encode(reply)
    read = decode_reply(encode(_in_full(reply)))
    assert encode(read) == encode(reply)


def _in_full(reply: WorkerReply) -> Any:  # noqa: ANN401 - JSON
    """*reply* with further fields, but for pairs, which stay such."""
    if not isinstance(reply, JobAnswers):
        return added(reply)
    jobs = [(job, [(place, added(answer)) for place, answer in answers]) for job, answers in reply.jobs]
    return ["answers", added(reply.worker), jobs, *added(reply)[3:]]


def test_fields_that_the_release_before_did_not_send_have_defaults() -> None:
    limits, (packet,) = msgspec.json.decode(encode(JOB))
    assert decode_job(encode([limits[:4], [packet[:5]]])).packets[0].metadata == msgspec.Raw(b"null")
    assert decode_reply(encode(["answers", ["w", 2, 1, 4], []])) == JobAnswers(STATE, [])
    assert decode_reply(encode(["heartbeat", ["w", 2, 1, 4], []])) == WorkerHeartbeat(STATE, [])
