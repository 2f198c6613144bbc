#!/usr/bin/env bash
# uvicorn 0.54.0: limit_concurrency=N answers 503 from N connections on, whether or not they ask for anything.
# Its documentation says "maximum number of concurrent connections or tasks to allow, before issuing HTTP 503". Seen with
# N=4: of four requests at once at least one gets 503 (all of them, unless a refused connection closes in time); beside
# three idle kept connections the only request gets 503.
# A processor or receiver behind a client that keeps connections is "overloaded" while it does nothing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check uvicorn==0.54.0 httptools==0.9.0
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio
import socket
import threading
import time

import uvicorn

LIMIT = 4


async def app(scope, receive, send):
    await asyncio.sleep(0.3 if scope["path"] == "/slow" else 0)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def connect():
    return socket.create_connection(("127.0.0.1", port), timeout=5)


def ask(connection, path):
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())


def status(connection):
    return int(connection.recv(65_536).split()[1])


listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
config = uvicorn.Config(app, http="httptools", limit_concurrency=LIMIT, lifespan="off", log_level="critical")
server = uvicorn.Server(config)
threading.Thread(target=server.run, args=([listener],), daemon=True).start()
while not server.started:
    time.sleep(0.01)

together = [connect() for _ in range(LIMIT)]
while len(server.server_state.connections) < LIMIT:
    time.sleep(0.01)
for connection in together:
    ask(connection, "/slow")
at_once = [status(connection) for connection in together]
for connection in together:
    connection.close()
while server.server_state.connections:
    time.sleep(0.01)

idle = []
for _ in range(LIMIT - 1):
    idle.append(connect())
    ask(idle[-1], "/")
    assert status(idle[-1]) == 200
late = connect()
ask(late, "/")
beside_idle = status(late)
print(f"limit {LIMIT}: {LIMIT} at once {at_once}; one beside {LIMIT - 1} idle connections {beside_idle}")
assert 503 in at_once
assert beside_idle == 503
PYTHON
