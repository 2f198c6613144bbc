"""The way of the answers out of a process of a worker: gathered, and published until the broker has them.

Theory. A message costs a millisecond here and one at the node, however few answers it has. So what comes within
`INTERVAL` of the last message goes with the next one, whichever jobs it belongs to. It goes at once where nothing went
lately, or where no other answer is to come.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import msgspec
import structlog

from collator.throttle import Throttle
from collator.workers.celery.call_counts import CallCounts
from collator.workers.celery.messages import JobAnswer, JobAnswers, WorkerReply, WorkerState, encode
from collator.workers.celery.publisher import Publisher

INTERVAL = 0.02
"""Seconds between two messages to a node."""
PATIENCE = 60.0
"""Seconds for which answers are tried to be published; then their jobs go back into the queue."""
PAUSE = 1.0
"""Seconds between two tries."""

log = structlog.get_logger("collator.workers")


class HostedJob:
    """A job at work in this process."""

    def __init__(self, job: str, node: str, size: int, begun: float) -> None:
        """*size* answers are to be published."""
        self.id, self.node = job, node
        self.left = size
        """Answers that are not published."""
        self.begun = begun
        """Monotonic seconds."""
        self.failed = ""
        """Why the answers could not be published, in words."""
        self.done = threading.Event()
        """All are published, or could not be."""


class Portion(msgspec.Struct, frozen=True):
    """Answers of a job."""

    job: HostedJob
    answers: Sequence[tuple[int, JobAnswer]]
    seconds: float | None = None
    """The mean time of a call, where any was made."""
    size: int = 0
    """Bytes of the outputs."""


class AnswerSender:
    """Publishes, in a thread of its own."""

    def __init__(
        self,
        publisher: Publisher,
        *,
        state: Callable[[], WorkerState],
        published: Callable[[int], None],
        expected: Callable[[], int],
        counts: CallCounts,
    ) -> None:
        """*publisher* is its own from now on; *published* is called with the bytes of outputs that are on their way.

        *expected* gives the number of answers that will come behind those that were given to `add`. *counts* go along.
        """
        self._expected, self._counts = expected, counts
        self._publisher, self._state, self._published = publisher, state, published
        self._portions: list[Portion] = []
        self._guard = threading.Lock()
        self._news, self._last = threading.Event(), threading.Event()
        self._ended = False
        self._throttle = Throttle()
        threading.Thread(target=self._run, name="collator-answers", daemon=True).start()

    def add(self, *portions: Portion) -> None:
        """Have *portions* published, those for one node together. In any thread."""
        with self._guard:
            self._portions += portions
        if self._expected() == 0:
            self._last.set()
        self._news.set()

    def end(self) -> None:
        """Let the thread end."""
        self._ended = True
        self._news.set()

    def _run(self) -> None:
        while not self._ended:
            self._news.wait()
            self._news.clear()
            self._last.clear()
            with self._guard:
                portions, self._portions = self._portions, []
            if portions:
                self._send(portions)
                self._last.wait(INTERVAL)
        self._publisher.close()

    def _send(self, portions: Sequence[Portion]) -> None:
        by_node: dict[str, list[Portion]] = {}
        for portion in portions:
            by_node.setdefault(portion.job.node, []).append(portion)
        for node, some in by_node.items():
            times = [portion.seconds for portion in some if portion.seconds is not None]
            seconds = sum(times) / len(times) if times else None
            answers = [(portion.job.id, portion.answers) for portion in some if portion.answers]
            failed = self._publish(node, JobAnswers(self._state(), answers, seconds, *self._counts.take()))
            for portion in some:
                self._note(portion, failed)

    def _note(self, portion: Portion, failed: str) -> None:
        job = portion.job
        job.left -= len(portion.answers)
        job.failed = job.failed or failed
        if job.left <= 0 or failed:
            job.done.set()
        if portion.size:
            self._published(portion.size)

    def _publish(self, node: str, reply: WorkerReply) -> str:
        """Send *reply*, however often that takes; why it could not be sent, in words, where it takes too long."""
        body, end = encode(reply), time.monotonic() + PATIENCE
        while True:
            try:
                self._publisher.publish(body, node)
            except Exception as error:  # noqa: BLE001 - each kind of broker has its own
                if times := self._throttle.times():
                    log.warning("answers are kept, as the broker does not take them", reason=str(error), times=times)
                if time.monotonic() >= end:
                    return str(error) or type(error).__name__
                threading.Event().wait(PAUSE)
            else:
                self._throttle.over()
                return ""
