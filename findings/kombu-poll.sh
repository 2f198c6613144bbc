#!/usr/bin/env bash
# kombu 5.7.0: the event loop of a Celery worker does what it was given by `call_soon`, then polls its files for at most
# as long as no timer is due, at most 10 s. Seen: what is given to it while it does what it was given waits for the end of
# the poll, though nothing else is to be done: here 2 s, as the timer after that is due in 3 s. With Celery's pool solo,
# late acknowledgement and RabbitMQ a task that runs in such a turn is acknowledged up to 10 s late, and so the next
# comes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check kombu==5.7.0
cat >"$folder/ask.py" <<'PYTHON'
import os
import time

from kombu.asynchronous import Hub

hub = Hub()
silent, _open = os.pipe()
hub.add_reader(silent, print)
hub.call_later(3.0, print, "a timer is due")
began = time.monotonic()
waited = []


def first():
    """Has something done soon."""
    hub.call_soon(lambda: waited.append(time.monotonic() - began))


hub.call_soon(first)
loop = hub.create_loop()
while not waited:
    next(loop)
print(f"done after {waited[0]:.1f} s")
if waited[0] < 1.0:
    raise SystemExit(1)
PYTHON
"$folder/venv/bin/python" "$folder/ask.py"
