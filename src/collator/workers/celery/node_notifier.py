"""What a worker tells its nodes: which jobs it has in hand, and the heartbeats that say so to their nodes.

It lives in the main process of a worker, whatever its pool is, in a thread of its own: a call that takes long holds up
no heartbeat. It also says what only the main process knows: that a process of the pool has ended with a job.
"""

from __future__ import annotations

import threading
import time
from collections import deque

import structlog

from collator.throttle import Throttle
from collator.workers.celery.known_workers import BEAT
from collator.workers.celery.messages import WorkerHeartbeat, WorkerProgram, WorkerReply, WorkerState, encode
from collator.workers.celery.publisher import Publisher

REMEMBER = 60.0
"""Seconds for which a node hears heartbeats after its last job."""

log = structlog.get_logger("collator.workers")


class NodeNotifier:
    """Tells nodes of their jobs."""

    def __init__(self, publisher: Publisher, state: WorkerState, program: WorkerProgram) -> None:
        """*publisher* is its own from now on."""
        self._publisher, self._state, self._program = publisher, state, program
        self._jobs: dict[str, str] = {}  # the node of each
        self._nodes: dict[str, float] = {}  # until when each is told
        self._messages: deque[tuple[str, WorkerReply]] = deque()
        self._guard = threading.Lock()
        self._news, self._stopped = threading.Event(), threading.Event()
        self._throttle = Throttle()
        self._thread = threading.Thread(target=self._run, name="collator-heartbeat", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let it end."""
        self._stopped.set()
        self._news.set()
        self._thread.join(BEAT)

    def begin(self, job: str, node: str) -> None:
        """*job* of *node* is in hand. A node that is new hears of this worker at once."""
        with self._guard:
            self._jobs[job] = node
            new = node not in self._nodes
            self._nodes[node] = time.monotonic() + REMEMBER
        if new:
            self._news.set()

    def end(self, job: str) -> None:
        """*job* is not in hand any more."""
        with self._guard:
            self._jobs.pop(job, None)

    def tell(self, node: str, message: WorkerReply) -> None:
        """Send *message* to *node*, as soon as the broker takes it."""
        self._messages.append((node, message))
        self._news.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._news.wait(BEAT)
            self._news.clear()
            try:
                self._send()
            except Exception as error:  # noqa: BLE001 - each kind of broker has its own
                if times := self._throttle.times():
                    log.warning("cannot tell nodes of this worker", reason=str(error), times=times)
                self._stopped.wait(BEAT / 2)
        self._publisher.close()

    def _send(self) -> None:
        while self._messages:
            node, message = self._messages[0]
            self._publisher.publish(encode(message), node)
            self._messages.popleft()
        now = time.monotonic()
        with self._guard:
            jobs = {node: [job for job, whose in self._jobs.items() if whose == node] for node in self._nodes}
            self._nodes = {node: until for node, until in self._nodes.items() if until > now or jobs[node]}
        for node in [*self._nodes]:
            self._publisher.publish(encode(WorkerHeartbeat(self._state, jobs[node], self._program)), node)
