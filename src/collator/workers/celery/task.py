"""The Celery task, and what its worker does about a process that ends.

A task is acknowledged when all its answers are on their way. A job that comes out of the queue a second time is not
begun: somebody may work on it, or it may have killed its worker; its node knows more, and sends it again. One that
cannot be read goes back to its node, but not at once: meanwhile others can take what waits.
"""

from __future__ import annotations

import os
import re
import threading
from typing import Any

import msgspec
import structlog
from celery import Task as CeleryTask
from celery.exceptions import Reject, WorkerLostError
from celery.worker.request import Request
from kombu import Connection

from collator import __version__
from collator.processor import OutcomeFactory
from collator.processor.subprocess import ending_words
from collator.settings import Settings
from collator.throttle import Throttle
from collator.workers.celery import broker
from collator.workers.celery.host import ProcessorHost
from collator.workers.celery.messages import (
    READABLE,
    TASK,
    CallLimits,
    JobEnded,
    JobRedelivered,
    JobRefused,
    PacketJob,
    WorkerReply,
    WorkerState,
    decode_job,
    encode,
)
from collator.workers.celery.node_notifier import NodeNotifier
from collator.workers.celery.publisher import Publisher
from collator.workers.celery.wake_up import WakeUp
from collator.workers.local_backend import open_by

REFUSAL = 1.0
"""Seconds until a job goes back that cannot be read."""
_STATUS = re.compile(r"(exitcode|signal) (\d+)")

log = structlog.get_logger("collator.workers")


class JobRequest(Request):
    """A job in the main process of a worker."""

    @property
    def _notifier(self) -> NodeNotifier | None:
        notifier: NodeNotifier | None = self.task.notifier
        return notifier

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        """A process or thread of the pool begins it."""
        if self._notifier is not None:
            self._notifier.begin(self.id, self.reply_to)
        super().on_accepted(pid, time_accepted)

    def acknowledge(self) -> None:
        """The job has come to its end. Not `on_success`, as Celery puts a method of its own in the place of that."""
        self._end()
        super().acknowledge()
        self.task.wake_up.wake()

    def reject(self, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - as Celery has it
        """Nothing came of it."""
        self._end()
        super().reject(requeue)
        self.task.wake_up.wake()

    def on_failure(self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False) -> None:  # noqa: ANN401, FBT001, FBT002 - as Celery has it
        """The task has raised, or its process has ended."""
        error = getattr(exc_info.exception, "exc", exc_info.exception)  # billiard wraps it, to keep its traceback
        if isinstance(error, WorkerLostError):
            self._end(_words(str(error)))
        super().on_failure(exc_info, send_failed_event=send_failed_event, return_ok=return_ok)

    def on_timeout(self, soft: bool, timeout: float) -> None:  # noqa: FBT001 - as Celery has it
        """The process took so long that it is ended."""
        if not soft:
            self._end(f"its process was ended after {timeout:g} s")
        super().on_timeout(soft, timeout)

    def _end(self, reason: str = "") -> None:
        if self._notifier is not None:
            self._notifier.end(self.id)
            if reason:
                self._notifier.tell(self.reply_to, JobEnded(self.id, reason))


class ProcessTask(CeleryTask):
    """Has the processor of *settings* called for the packets of a job."""

    name = TASK
    Request = JobRequest
    acks_late = True
    acks_on_failure_or_timeout = True
    reject_on_worker_lost = False
    ignore_result = True
    store_errors_even_if_ignored = False
    send_events = True

    def __init__(self, settings: Settings) -> None:
        self.notifier: NodeNotifier | None = None
        """In the main process of a worker."""
        self.wake_up = WakeUp()
        self.state = WorkerState(f"process-{os.getpid()}", 1, 1, 1)
        """What the worker is, once that is known."""
        self.calls = 1
        """At a time in each process."""
        self.replaced = False
        """Whether a process that ends is replaced by another."""
        self.settings = settings
        self._throttle = Throttle()
        self._guard = threading.Lock()
        self._here = 0  # the process to which the rest belongs
        self._host: ProcessorHost | None = None

    def run(self, text: str, version: int = 1, *_added: object) -> None:
        """Process the job that is *text*, of *version*.

        Raises `Reject`, so that it is queued again, where what became of it cannot be told.
        """
        job_id, node = self.request.id, self.request.reply_to
        if self.request.delivery_info.get("redelivered"):
            self._say(JobRedelivered(job_id), node)
            return
        try:
            job = _read(text, version)
        except msgspec.MsgspecError as error:
            reason = str(error)
            if times := self._throttle.times(reason):
                log.warning("jobs cannot be read, and go back", node=node, reason=reason, times=times)
            threading.Event().wait(REFUSAL)
            self._say(JobRefused(self.state, job_id, reason), node)
            return
        host = self._hosting(job.limits)
        if failed := host.work(job, job_id=job_id, node=node):
            raise Reject(reason=failed, requeue=True)
        if self.replaced and host.blocked():
            log.warning("a process of the pool is replaced, as its calls do not return")
            os._exit(os.EX_TEMPFAIL)

    def open(self, limits: CallLimits) -> ProcessorHost:
        """Open the processor with *limits*. Raises `ConfigError` where it cannot be used."""
        outcomes = OutcomeFactory(
            timeout=limits.timeout,
            retries=limits.retries,
            patience=limits.patience,
            max_output=limits.max_output,
            quote=limits.quote,
        )
        return ProcessorHost(
            open_by(self.settings, outcomes),
            limits,
            Publisher(self.connect),
            state=self.state,
            calls=self.calls,
            hedge=self.settings.hedge,
        )

    def connect(self) -> Connection:
        """A connection to the broker, on which nothing blocks for long, and nothing is lost without a word."""
        scheme = str(self.app.connection_for_write().transport_cls)
        connection: Connection = self.app.connection_for_write(heartbeat=0, transport_options=broker.quick(scheme))
        return connection

    def _say(self, reply: WorkerReply, node: str) -> None:
        publisher = Publisher(self.connect)
        publisher.publish(encode(reply), node)
        publisher.close()

    def _hosting(self, limits: CallLimits) -> ProcessorHost:
        with self._guard:
            if self._here != os.getpid():  # forked, or the first job
                self._here, self._host = os.getpid(), None
            if self._host is not None and self._host.limits != limits:  # the settings of the nodes have changed
                self._host.retire()
                self._host = None
            self._host = self._host or self.open(limits)
            return self._host


def _read(text: str, version: int) -> PacketJob:
    """The job that is *text*. Raises `msgspec.MsgspecError` where it is none, or of an unknown *version*."""
    if version in READABLE:
        return decode_job(text)
    known = ", ".join(map(str, sorted(READABLE)))
    raise msgspec.ValidationError(
        f"Collator {__version__} of the worker reads messages of version {known}, and the service sends version"
        f" {version}: they are more than one release apart"
    )


def _words(status: str) -> str:
    found = _STATUS.search(status)
    if found is None:
        return "the process ended"
    return ending_words(int(found[2]) if found[1] == "exitcode" else -int(found[2]))
