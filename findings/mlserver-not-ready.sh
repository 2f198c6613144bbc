#!/usr/bin/env bash
# MLServer 1.7.1: while a model loads, its HTTP port is open already, and a request for the model is answered with 400.
# 400 says that the request is wrong (RFC 9110), and no client repeats it; the service meant 503. So whatever is sent
# while the server restarts is lost, unless somebody asks /v2/models/NAME/ready first. Seen with a model that takes a few
# seconds to load: a request that is right gets 400 and "Model slow is not ready yet.", and a little later 200.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check mlserver==1.7.1
mkdir "$folder/model"
cat >"$folder/model/slow.py" <<'PYTHON'
import asyncio

from mlserver import MLModel
from mlserver.types import InferenceResponse


class Slow(MLModel):
    async def load(self):
        await asyncio.sleep(5)
        return True

    async def predict(self, payload):
        return InferenceResponse(model_name=self.name, outputs=[])
PYTHON
cat >"$folder/ask.py" <<'PYTHON'
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

folder, program = Path(sys.argv[1]), sys.argv[2]
ports = []
for _ in range(3):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ports.append(listener.getsockname()[1])
settings = {"host": "127.0.0.1", "http_port": ports[0], "grpc_port": ports[1], "metrics_port": ports[2]}
(folder / "settings.json").write_text(json.dumps({**settings, "parallel_workers": 0}))
(folder / "model-settings.json").write_text('{"name": "slow", "implementation": "slow.Slow"}')
data = {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["hello"]}]}
request = urllib.request.Request(
    f"http://127.0.0.1:{ports[0]}/v2/models/slow/infer",
    json.dumps(data).encode(),
    {"content-type": "application/json"},
)
log = (folder / "log").open("w")
server = subprocess.Popen([program, "start", "."], cwd=folder, stdout=log, stderr=log)
seen = []
try:
    end = time.monotonic() + 60
    while 200 not in seen and time.monotonic() < end:
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                now, said = answer.status, ""
        except urllib.error.HTTPError as error:
            now, said = error.code, error.read().decode()
        except OSError:
            now, said = "no connection", ""
        if now not in seen:
            seen.append(now)
            print(now, said)
        time.sleep(0.1)
finally:
    server.terminate()
    server.wait(20)
assert seen == ["no connection", 400, 200], seen
PYTHON
"$folder/venv/bin/python" "$folder/ask.py" "$folder/model" "$folder/venv/bin/mlserver"
