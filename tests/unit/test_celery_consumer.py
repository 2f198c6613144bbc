"""What a Celery worker of ours does where the connection to its broker ends."""

from __future__ import annotations

from celery import Celery

from collator.settings import Settings
from collator.workers.celery.app import register
from collator.workers.celery.consumer import JobConsumer


class Ended:
    """A connection that has ended, of which kombu has forgotten the address."""

    connection_errors = channel_errors = ()

    def __init__(self) -> None:
        self.closed = 0

    def collect(self, socket_timeout: float) -> None:
        raise ConnectionError(socket_timeout)

    def close(self) -> None:
        self.closed += 1
        raise AttributeError("'NoneType' object has no attribute 'hostname'")


def test_a_worker_goes_on_whatever_the_end_of_its_connection_raises() -> None:
    consumer, connection = JobConsumer.__new__(JobConsumer), Ended()
    consumer.connection = connection
    consumer.on_connection_error_after_connected(ConnectionError("refused"))
    assert (consumer.connection, connection.closed) == (None, 1)


def test_the_consumer_of_an_app_is_ours_unless_it_has_its_own() -> None:
    app, other = Celery("one", set_as_current=False), Celery("other", set_as_current=False)
    other.conf.worker_consumer = "theirs:Consumer"
    for one in (app, other):
        register(one, Settings(processor="collator.processor:word_lengths"))
    assert app.conf.worker_consumer == "collator.workers.celery.consumer:JobConsumer"
    assert other.conf.worker_consumer == "theirs:Consumer"
