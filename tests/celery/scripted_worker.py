"""A worker that a test plays: it takes jobs, and says what the test wants, or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from kombu import Connection, Queue

from collator.workers.celery.messages import (
    QUEUE,
    JobAnswer,
    JobAnswers,
    JobOutput,
    PacketJob,
    WorkerHeartbeat,
    WorkerReply,
    WorkerState,
    decode_job,
    encode,
)
from collator.workers.celery.publisher import Publisher
from tests.wait import PATIENCE

STATE = WorkerState("scripted", 1, 1, 1)


class Received(NamedTuple):
    """A job."""

    id: str
    content: PacketJob

    @property
    def indexes(self) -> list[int]:
        """The indexes of its packets."""
        return [packet.index for packet in self.content.packets]

    @property
    def attempts(self) -> list[int]:
        """Their attempts."""
        return [packet.attempt for packet in self.content.packets]


class ScriptedWorker:
    """Takes jobs at the broker *url*. It tells who asks who it is, by itself."""

    def __init__(self, url: str, state: WorkerState = STATE) -> None:
        self.state = state
        self.node = ""
        """The queue of the node from which the last job came."""
        self._connection = Connection(url)
        self._queue = self._connection.SimpleQueue(Queue(QUEUE, durable=True))
        self._publisher = Publisher(lambda: Connection(url))

    async def job(self, patience: float = PATIENCE) -> Received:
        """Wait for the next job that has packets."""
        return await asyncio.to_thread(self._next, patience)

    async def answer(self, job: Received, answers: Mapping[int, JobAnswer] | None = None) -> None:
        """Answer *job*: by places, or each packet by its index."""
        given = answers or {
            place: JobOutput(msgspec.Raw(b"%d" % packet.index)) for place, packet in enumerate(job.content.packets)
        }
        await self.say(JobAnswers(self.state, [(job.id, [*given.items()])], 0.001))

    async def beat(self, *jobs: str) -> None:
        """Say that *jobs* are in hand."""
        await self.say(WorkerHeartbeat(self.state, [*jobs]))

    async def say(self, reply: WorkerReply) -> None:
        """Say *reply* to the node."""
        await self.say_bytes(encode(reply))

    async def say_bytes(self, body: bytes) -> None:
        """Say anything."""
        await asyncio.to_thread(self._publisher.publish, body, self.node)

    def close(self) -> None:
        """Close what is open."""
        self._queue.close()
        self._publisher.close()
        self._connection.release()

    def _next(self, patience: float) -> Received:
        while True:
            message = self._queue.get(timeout=patience)
            message.ack()
            self.node = message.properties["reply_to"]
            (text, *_), _, _ = msgspec.json.decode(message.body)
            job = Received(message.headers["id"], decode_job(text))
            if job.content.packets:
                return job
            self._publisher.publish(encode(JobAnswers(self.state, [])), self.node)
