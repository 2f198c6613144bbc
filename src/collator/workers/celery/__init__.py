"""The workers on Celery: on any number of machines, with a broker between them and the nodes.

``celery -A collator.workers.celery worker`` finds the app here, made from the settings of the environment and of
``collator.toml``; ``collator worker`` starts the same.

| on a node | what lives there |
|---|---|
| `backend` | the workers as a backend |
| `pool` | which packets are out, and what an answer, or none, means for them |
| `job_size`, `known_workers`, `discovery` | how much is sent, who works, and when they are asked; pure |
| `sent_jobs`, `losses`, `suspects` | what is lost, and what that means; pure |
| `called_service` | what is known of an HTTP service that the workers call; pure |
| `echoes`, `arrivals` | whether the broker passes anything on, and what is acknowledged; pure |
| `node_threads` | the threads that talk to the broker |

| in a worker | what lives there |
|---|---|
| `app` | the Celery app, and what a worker does beside its tasks |
| `consumer` | goes on when a connection ends |
| `task` | the task, and what becomes of one whose process ends |
| `host` | the processor in a process: the calls of several jobs side by side |
| `reported_calls` | how calls to an HTTP service ended, until that is sent |
| `answer_sender`, `call_counts` | the way of the answers, and of what is counted |
| `node_notifier` | heartbeats |
| `wake_up` | wakes the event loop of Celery |

| both | what lives there |
|---|---|
| `messages` | what travels |
| `broker`, `publisher` | addresses, connections, and sending over them |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from celery import Celery

    app: Celery


def __getattr__(name: str) -> object:
    """``app``: made when it is asked for, from the settings of the process; later the same."""
    if name != "app":
        raise AttributeError(name)
    from collator.settings import load
    from collator.workers.celery.app import make_app

    made = globals()["app"] = make_app(load())
    return made
