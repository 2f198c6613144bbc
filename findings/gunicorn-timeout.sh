#!/usr/bin/env bash
# gunicorn 27.0.1 with Flask 3.1.3: a worker that is ended for its timeout answers first, with a whole 500 in HTML, the
# same that it gives for an exception. Seen with --timeout 2: the request that took too long gets 500 after 2 to 3 s,
# and not a closed connection, 503 or 504. So a client cannot tell an overloaded service from a request that it cannot
# handle; set the timeout of the client below that of gunicorn to see which it is.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check gunicorn==27.0.1 flask==3.1.3
cat >"$folder/service.py" <<'PYTHON'
import time

from flask import Flask

app = Flask(__name__)


@app.post("/slow")
def slow():
    time.sleep(20)
    return {}


@app.post("/raises")
def raises():
    raise RuntimeError
PYTHON
cat >"$folder/ask.py" <<'PYTHON'
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

folder = sys.argv[1]
with socket.create_server(("127.0.0.1", 0)) as listener:
    port = listener.getsockname()[1]
server = subprocess.Popen(
    [f"{folder}/venv/bin/gunicorn", "--bind", f"127.0.0.1:{port}", "--timeout", "2", "service:app"],
    cwd=folder,
    env={**os.environ, "HOME": folder},
    stderr=subprocess.DEVNULL,
)


def ask(path):
    """The status and the type of the answer, and the seconds until it was there."""
    end = time.monotonic() + 30
    while True:
        began = time.monotonic()
        try:
            urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}{path}", b""), timeout=15)
        except urllib.error.HTTPError as error:
            error.read()
            return error.code, error.headers["content-type"].partition(";")[0], time.monotonic() - began
        except urllib.error.URLError:
            assert time.monotonic() < end
            time.sleep(0.1)


try:
    answers = {path: ask(path) for path in ("/raises", "/slow")}
finally:
    server.terminate()
    server.wait(20)
for path, (status, media, seconds) in answers.items():
    print(f"{path}: {status} {media} after {seconds:.1f} s")
assert [answer[:2] for answer in answers.values()] == [(500, "text/html")] * 2
assert 1.5 < answers["/slow"][2] < 10
PYTHON
"$folder/venv/bin/python" "$folder/ask.py" "$folder"
