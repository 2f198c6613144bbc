"""Celery's consumer in a worker, which connects anew whatever a broker that is away or full brings about."""

from __future__ import annotations

from typing import Any

import structlog
from celery.worker.consumer import Consumer

log = structlog.get_logger("collator.workers")


class JobConsumer(Consumer):
    """Takes jobs, and connects anew where that fails, whatever the error is.

    Celery ends the worker at an error that kombu does not list. Among those are an answer of a Redis server without
    memory, and an `AttributeError` where a server dies while jobs are in hand: kombu closes the connection twice, and
    the second time gives unacknowledged messages back by an address that it has forgotten. Nothing has to be given back
    there, as the node sends again what is lost.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - as Celery has it
        super().__init__(*arguments, **options)
        self.connection_errors = (Exception,)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Let go of the connection, which *exc* has ended."""
        try:
            super().on_connection_error_after_connected(exc)
        except Exception as error:  # noqa: BLE001 - what it raises depends on what is in hand
            log.debug("a connection that has ended could not be closed", reason=repr(error))
