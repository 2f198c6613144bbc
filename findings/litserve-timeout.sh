#!/usr/bin/env bash
# LitServe 0.2.19: timeout is neither a bound for an answer nor for a call. A request that has waited for longer gets 504,
# but only once a worker is free to take it; and a call that has begun is never cut. Seen with a timeout of 1 s and one
# worker that takes 3 s a call: the first of two requests at once gets 200 after 3 s, the other 504, after 3 s too.
# Who relies on the timeout waits for as long as the slowest call before it.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check litserve==0.2.19
cat >"$folder/service.py" <<'PYTHON'
import sys
import time

import litserve


class Slow(litserve.LitAPI):
    def setup(self, device):
        pass

    def predict(self, request):
        time.sleep(3)
        return {}


if __name__ == "__main__":
    server = litserve.LitServer(Slow(), accelerator="cpu", timeout=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
PYTHON
cat >"$folder/ask.py" <<'PYTHON'
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

with socket.create_server(("127.0.0.1", 0)) as listener:
    port = listener.getsockname()[1]
server = subprocess.Popen(
    [sys.executable, sys.argv[1], str(port)],
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
    start_new_session=True,
)
seen = []


def ask():
    began = time.monotonic()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/predict", b"{}", {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            status = answer.status
    except urllib.error.HTTPError as error:
        status = error.code
    seen.append((status, time.monotonic() - began))


try:
    end = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
            break
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.1)
    asking = [threading.Thread(target=ask) for _ in range(2)]
    for one in asking:
        one.start()
    for one in asking:
        one.join()
finally:
    os.killpg(server.pid, signal.SIGKILL)
    server.wait()
print(", ".join(f"{status} after {seconds:.1f} s" for status, seconds in sorted(seen)))
assert sorted(status for status, _ in seen) == [200, 504]
assert all(seconds > 2.5 for _, seconds in seen)
PYTHON
"$folder/venv/bin/python" "$folder/ask.py" "$folder/service.py"
