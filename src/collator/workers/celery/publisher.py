"""Publishes messages over one connection, which is made anew after any error: a kept one may never recover."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from kombu import Connection, Producer, Queue

from collator.workers.celery.broker import ANSWER


class Publisher:
    """Belongs to one thread, or to whoever holds its lock."""

    def __init__(self, connect: Callable[[], Connection], queues: Sequence[Queue] = ()) -> None:
        """*queues* are declared on each new connection."""
        self._connect = connect
        self._queues = queues
        self._connection: Connection | None = None
        self._producer: Producer

    def publish(
        self, body: bytes, queue: str, *, headers: Mapping[str, Any] | None = None, **properties: object
    ) -> None:
        """Send *body*, which is JSON, to *queue*. Raises whatever went wrong; then it may have been sent or not."""
        try:
            self._open().publish(
                body,
                exchange="",
                routing_key=queue,
                content_type="application/json",
                content_encoding="utf-8",
                headers=dict(headers or {}),
                delivery_mode="transient",  # no disk: what a broker loses is sent again
                confirm_timeout=ANSWER,
                retry=False,
                **properties,
            )
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                connection.release()

    def _open(self) -> Producer:
        if self._connection is None:
            connection = self._connection = self._connect()
            channel = connection.default_channel
            for queue in self._queues:
                queue(channel).declare()
            self._producer = Producer(channel, auto_declare=False)
        return self._producer
