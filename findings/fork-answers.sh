#!/usr/bin/env bash
# Pebble 5.2.3: the processes of a pool write their results into one pipe, and a result is known by the number of its
# task alone. Seen: a function that forks, and whose copy returns first, is answered by the copy. A pool that runs the
# code of others has to know which process a task was given to, and to take its result from nobody else.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pebble==5.2.3
cat >"$folder/called.py" <<'PYTHON'
import os
import threading


def called(number):
    """Give back *number*; 2 forks first, and lets its copy return before it."""
    if number == 2:
        if os.fork() == 0:
            return "the copy"
        threading.Event().wait(0.3)
    return number
PYTHON
cat >"$folder/ask.py" <<'PYTHON'
import multiprocessing
import os
import signal

import pebble
from called import called

if __name__ == "__main__":
    with pebble.ProcessPool(2, context=multiprocessing.get_context("spawn")) as pool:
        calls = [pool.schedule(called, args=[number], timeout=10) for number in range(5)]
        results = [call.result(20) for call in calls]
    print(results, flush=True)
    if results != [0, 1, "the copy", 3, 4]:
        raise SystemExit(1)
    os.killpg(0, signal.SIGTERM)  # the copy goes on as a process of the pool, which knows nothing of it
PYTHON
code=0
PYTHONPATH="$folder" setsid --wait "$folder/venv/bin/python" "$folder/ask.py" 2>/dev/null || code=$?
test "$code" -eq 143
