"""An app whose broker gives a task to another worker that is not acknowledged within a second."""

from __future__ import annotations

from collator.settings import load
from collator.workers.celery.app import make_app

app = make_app(load())
app.conf.broker_transport_options = {
    "visibility_timeout": 1,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
}
