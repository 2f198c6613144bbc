"""The two threads of a node that talk to the broker: one sends jobs, one receives what the workers say.

All that may block is here, so that the event loop never waits for a broker. A connection that fails is made anew, with
pauses between.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

import msgspec
import structlog
from kombu import Connection, Consumer, Message, Queue

from collator.messages import Task
from collator.settings import hidden
from collator.text import one_line
from collator.workers.celery import broker
from collator.workers.celery.messages import (
    QUEUE,
    TASK,
    VERSION,
    Nudge,
    PacketJob,
    WorkerReply,
    decode_reply,
    encode,
)
from collator.workers.celery.publisher import Publisher

PAUSE = 1.0
"""Seconds until a broker that is away is tried again."""
LOOK = 1.0
"""Seconds after which a thread that hears nothing looks up."""
_EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}

log = structlog.get_logger("collator.workers")


class OutgoingJob(msgspec.Struct, frozen=True):
    """A job to be sent to the workers."""

    id: str
    tasks: Sequence[Task]
    content: PacketJob
    limit: float
    """Seconds after which a process that has not ended it is ended, where it can be."""


class Echo(msgspec.Struct, frozen=True):
    """A message to be sent to the node itself, to see whether the broker passes anything on."""


class Jobs(Protocol):
    """What the threads have to do with the jobs. All methods are called by them."""

    def next(self) -> OutgoingJob | Echo | None:
        """Wait for what is to be sent; `None` at the end."""
        ...

    def unsent(self, what: OutgoingJob | Echo) -> None:
        """*what* `next` gave could not be sent."""
        ...

    def reply(self, reply: WorkerReply, acknowledge: Callable[[], None]) -> None:
        """A *reply* came; *acknowledge* is called once nothing of it can be lost any more."""
        ...

    def reconnected(self) -> None:
        """Replies come again."""
        ...


class NodeThreads:
    """Sends and receives, for as long as it runs."""

    def __init__(self, url: str, queue: str, jobs: Jobs) -> None:
        """*queue*: the name of the node's own, in which answers come."""
        self.trouble: dict[str, str] = {}
        """Why the broker cannot be used, in words; for each thread that cannot use it."""
        self._url, self._queue, self._jobs = url, queue, jobs
        self._acknowledges = broker.acknowledges(url)
        self._stopped = threading.Event()
        self._deaf = False
        self._acknowledged: deque[Message] = deque()
        self._threads = [
            threading.Thread(target=self._send_forever, name="collator-jobs", daemon=True),
            threading.Thread(target=self._receive_forever, name="collator-replies", daemon=True),
        ]
        self._started = False

    def start(self) -> None:
        """Start the threads."""
        self._started = True
        for thread in self._threads:
            thread.start()

    def reconnect(self) -> None:
        """Receive over another connection: nothing comes over this one."""
        self._deaf = True

    def stop(self) -> None:
        """Let them end. `Jobs.next` has to return then."""
        self._stopped.set()

    def ended(self) -> bool:
        """Return whether they have."""
        return not (self._started and any(thread.is_alive() for thread in self._threads))

    def _send_forever(self) -> None:
        publisher = Publisher(lambda: broker.connect(self._url), [Queue(QUEUE, durable=True)])
        while (what := self._jobs.next()) is not None:
            try:
                self._send(publisher, what)
            except Exception as error:  # noqa: BLE001 - each kind of broker has its own
                self._jobs.unsent(what)
                self._fail("send", error)
                continue
            self.trouble.pop("send", None)
        try:
            publisher.publish(encode(Nudge()), self._queue)
        except Exception as error:  # noqa: BLE001 - as above
            log.debug("the broker is away at the end", reason=str(error))
        publisher.close()

    def _send(self, publisher: Publisher, job: OutgoingJob | Echo) -> None:
        if isinstance(job, Echo):
            publisher.publish(encode(Nudge()), self._queue)
            return
        count = len(job.tasks)
        headers = {
            "lang": "py",
            "task": TASK,
            "id": job.id,
            "root_id": job.id,
            "parent_id": None,
            "group": None,
            "retries": 0,
            "eta": None,
            "expires": None,
            "timelimit": [job.limit, None],
            "ignore_result": True,
            "argsrepr": f"({count} packet{'s' if count > 1 else ''})",
            "kwargsrepr": "{}",
            "origin": self._queue,
        }
        body = encode([[encode(job.content).decode(), VERSION], {}, _EMBED])
        publisher.publish(body, QUEUE, headers=headers, correlation_id=job.id, reply_to=self._queue)

    def _receive_forever(self) -> None:
        while not self._stopped.is_set():
            try:
                with broker.connect(self._url) as connection:
                    self._receive(connection)
            except Exception as error:  # noqa: BLE001 - as above
                self._fail("receive", error)

    def _receive(self, connection: Connection) -> None:
        queue = Queue(self._queue, durable=True)
        options = {"on_message": self._take, "accept": ["json"], "no_ack": not self._acknowledges}
        with connection.channel() as channel, Consumer(channel, [queue], **options) as consumer:
            self._deaf = False
            self._acknowledged.clear()  # of the connection before, which gives them again
            self._jobs.reconnected()
            self.trouble.pop("receive", None)
            while not (self._stopped.is_set() or self._deaf):
                with suppress(TimeoutError):
                    connection.drain_events(timeout=LOOK)
                while self._acknowledged:
                    self._acknowledged.popleft().ack()
            if not self._deaf:
                consumer.cancel()  # or RabbitMQ does, while the channel is closed, and that is logged
                queue(channel).delete()

    def _take(self, message: Message) -> None:
        try:
            reply = decode_reply(message.body)
        except msgspec.MsgspecError as error:
            log.warning("a reply of a worker cannot be read; is it of another release?", reason=str(error))
            self._acknowledge(message)
            return
        self._jobs.reply(reply, lambda: self._acknowledge(message))

    def _acknowledge(self, message: Message) -> None:
        if self._acknowledges:
            self._acknowledged.append(message)

    def _fail(self, what: str, error: Exception) -> None:
        reason = one_line(str(error), 200) or type(error).__name__
        if not self.trouble:
            log.warning("the broker cannot be used; packets wait", broker=hidden(self._url), reason=reason)
        self.trouble[what] = reason
        self._stopped.wait(PAUSE)
