#!/usr/bin/env bash
# Celery 5.7.0: a task can have a request class of its own (Task.Request), whose methods are called when a worker
# accepts a task, when it fails, times out, is acknowledged or rejected. Seen: of a class that overrides all of these,
# each is called but `on_success`, as the worker derives another class from it and puts a method of its own in that
# place. What has to be done at the end of a task can stand in `acknowledge` (with acks_late).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check celery==5.7.0 kombu==5.7.0
cat >"$folder/ask.py" <<'PYTHON'
from celery import Celery, Task
from celery.contrib.testing.worker import start_worker
from celery.worker.request import Request

called = []


class NotedRequest(Request):
    """Notes what is called."""

    def on_accepted(self, pid, time_accepted):
        called.append("on_accepted")
        super().on_accepted(pid, time_accepted)

    def on_success(self, *arguments, **options):
        called.append("on_success")
        super().on_success(*arguments, **options)

    def acknowledge(self):
        called.append("acknowledge")
        super().acknowledge()


class NotedTask(Task):
    """Is acknowledged at its end."""

    Request = NotedRequest
    acks_late = True


app = Celery(broker="memory://", backend="cache+memory://")
app.conf.worker_send_task_events = True


@app.task(base=NotedTask)
def double(number):
    return 2 * number


with start_worker(app, perform_ping_check=False, pool="threads", concurrency=1):
    assert double.delay(21).get(timeout=20) == 42
print(called)
if called != ["on_accepted", "acknowledge"]:
    raise SystemExit(1)
PYTHON
"$folder/venv/bin/python" "$folder/ask.py"
