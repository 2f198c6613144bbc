"""The Celery app of the workers, and the task for an app of one's own."""

from __future__ import annotations

import socket
from types import MappingProxyType
from typing import Any

import structlog
from celery import Celery, bootsteps
from celery.worker.components import Pool

from collator import __version__
from collator.errors import CollatorError, ConfigError
from collator.processor import Function, HttpService, OutcomeFactory
from collator.settings import Settings, hidden
from collator.workers.celery import broker
from collator.workers.celery.messages import QUEUE, TASK, WorkerProgram, WorkerState
from collator.workers.celery.node_notifier import NodeNotifier
from collator.workers.celery.publisher import Publisher
from collator.workers.celery.task import ProcessTask
from collator.workers.celery.wake_up import WakeUpStep
from collator.workers.local_backend import check_hedge, open_by

_SHARED = frozenset({"thread", "gevent"})
"""Pools of one process that runs many tasks at a time."""
_POOLS = MappingProxyType({"thread": "threads"})
"""The names of pools as one gives them, where they differ from those of their modules."""

HEARTBEAT = 20
"""Seconds between two heartbeats of a connection to RabbitMQ, which counts as ended without two of them."""
_DEFAULT_HEARTBEAT = 120
_DEFAULT_CONSUMER = "celery.worker.consumer:Consumer"

log = structlog.get_logger("collator.workers")


def make_app(settings: Settings) -> Celery:
    """An app whose workers process the packets of the nodes at the broker of *settings*. Raises `ConfigError`."""
    if not settings.broker:
        raise ConfigError("broker: give its address, as in --broker redis://127.0.0.1:6379/0 or COLLATOR_BROKER")
    app = Celery("collator", broker=broker.address(settings.broker), set_as_current=False)
    app.conf.update(
        task_default_queue=QUEUE,
        task_serializer="json",
        accept_content=["json"],
        worker_prefetch_multiplier=1,
        broker_connection_retry_on_startup=True,
        control_queue_exclusive=False,  # or RabbitMQ may keep it for a connection that has silently ended
        broker_transport_options=broker.transport_options(settings.broker),
        broker_use_ssl=broker.tls(settings.broker),
    )
    register(app, settings)
    return app


def register(app: Celery, settings: Settings) -> ProcessTask:
    """Add the task to *app*, with the processor of *settings*; its workers have to consume the queue ``collator``."""
    # With it, threads of the pool and the loop read from one connection after a reconnection, each the other's answer,
    # and wait for ever.
    app.conf.worker_enable_prefetch_count_reduction = False
    if app.conf.worker_consumer == _DEFAULT_CONSUMER:
        app.conf.worker_consumer = "collator.workers.celery.consumer:JobConsumer"
    task: ProcessTask = app.register_task(ProcessTask(settings))
    app.steps["worker"].add(WorkerStep)
    app.steps["consumer"].add(WakeUpStep)
    return task


class WorkerStep(bootsteps.StartStopStep):
    """What a worker does before its pool starts, and beside its tasks."""

    requires = (Pool,)

    def __init__(self, worker: Any, **options: Any) -> None:  # noqa: ANN401 - as Celery has it
        """Open the processor and a connection; what cannot be used, and a broker that refuses, end the worker."""
        super().__init__(worker, **options)
        self._task: ProcessTask = worker.app.tasks[TASK]
        kind = worker.pool_cls.__module__.rpartition(".")[2]
        processor = hidden(self._task.settings.processor)
        self._program = WorkerProgram(socket.gethostname(), _POOLS.get(kind, kind), processor, __version__)
        try:
            self._prepare(kind, worker.concurrency, worker.hostname)
        except CollatorError as error:
            raise SystemExit(f"collator: {error.detail}") from None

    def start(self, _worker: object) -> None:
        """Begin to tell nodes of this worker."""
        self._task.notifier = NodeNotifier(Publisher(self._task.connect), self._task.state, self._program)
        self._task.notifier.start()

    def stop(self, _worker: object) -> None:
        """Tell them no more."""
        if self._task.notifier is not None:
            self._task.notifier.stop()

    def _prepare(self, kind: str, concurrency: int, name: str) -> None:
        if kind == "eventlet":
            raise ConfigError("the pool eventlet is not supported, as its maintainers have frozen it; use -P gevent")
        processor = open_by(self._task.settings, OutcomeFactory())
        check_hedge(self._task.settings, processor)
        broker.check(self._task.connect())
        shared = kind in _SHARED
        self._task.replaced = kind == "prefork"
        one_by_one = isinstance(processor, Function)
        conf = self._task.app.conf
        if kind != "solo" and conf.broker_heartbeat == _DEFAULT_HEARTBEAT:  # a call of solo would miss them
            conf.broker_heartbeat = HEARTBEAT
        self._task.calls = concurrency if shared else 1 if one_by_one else self._task.settings.concurrency
        processes, tasks = (concurrency if kind == "prefork" else 1), (concurrency if shared else 1)
        service = processor.address if isinstance(processor, HttpService) else ""
        self._task.state = WorkerState(name, processes, tasks, self._task.calls * processor.batch, service=service)
