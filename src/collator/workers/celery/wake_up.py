"""Wakes the event loop of a worker when a task is acknowledged.

kombu's loop does what it was given to do between two polls, of which one may take 10 s. What is given to it there, by a
task that runs inside the loop (the pool solo), waits for the end of the next poll: so would the acknowledgement of the
task, and with it the next job, as the broker gives none before.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from celery import bootsteps

from collator.workers.celery.messages import TASK


class WakeUp:
    """A pipe at whose other end the loop listens."""

    def __init__(self) -> None:
        self._source, self._sink = os.pipe()
        os.set_blocking(self._source, False)
        os.set_blocking(self._sink, False)

    def attach(self, hub: Any) -> None:  # noqa: ANN401 - as Celery has it
        """Have *hub* watch the pipe, which forgets it with each connection."""
        hub.add_reader(self._source, self._drain)

    def wake(self) -> None:
        """Wake the loop. From any thread."""
        with suppress(BlockingIOError):  # it will wake up anyway
            os.write(self._sink, b"\0")

    def _drain(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._source, 4096)


class WakeUpStep(bootsteps.StartStopStep):
    """Listens on each new connection of a consumer."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:  # noqa: ANN401 - as Celery has it
        """The consumer has connected."""
        if consumer.hub is not None:
            consumer.app.tasks[TASK].wake_up.attach(consumer.hub)
