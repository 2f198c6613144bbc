#!/usr/bin/env bash
# requests 2.34.0, httpx 0.28.1, aiohttp 3.14.5 and pycurl 7.49.0 report success for a request that was not sent.
# A receiver may answer before it has read the request (RFC 9110, section 9.2, RFC 9112, section 9.3). This one says 200
# after 64 KiB of 20,000,000 bytes and reads no more. Seen: each client gives status 200 and no error, and nothing in
# its answer tells that most of the body never left; libcurl knows (SIZE_UPLOAD), if asked.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check aiohttp==3.14.5 httpx==0.28.1 requests==2.34.0 pycurl==7.49.0
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import asyncio
import io
import socket
import threading

import aiohttp
import httpx
import pycurl
import requests

BODY = bytes(20_000_000)


def answer_early(connection: socket.socket) -> None:
    connection.recv(65_536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    connection.shutdown(socket.SHUT_WR)
    threading.Event().wait(1)
    connection.close()


def serve(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer_early, args=(connection,), daemon=True).start()


async def by_aiohttp(url: str) -> int:
    async with aiohttp.ClientSession() as session, session.post(url, data=io.BytesIO(BODY)) as answer:
        await answer.read()
        return answer.status


def by_pycurl(url: str) -> tuple[int, int]:
    curl = pycurl.Curl()
    curl.setopt(curl.URL, url)
    curl.setopt(curl.POST, 1)
    curl.setopt(curl.POSTFIELDS, BODY)
    curl.setopt(curl.HTTPHEADER, ["Expect:"])
    curl.setopt(curl.WRITEFUNCTION, lambda _: None)
    curl.perform()
    return curl.getinfo(curl.RESPONSE_CODE), int(curl.getinfo(curl.SIZE_UPLOAD))


listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=serve, args=(listener,), daemon=True).start()
url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
status, sent = by_pycurl(url)
seen = {
    "requests": requests.post(url, data=BODY).status_code,
    "httpx": httpx.post(url, content=BODY).status_code,
    "aiohttp": asyncio.run(by_aiohttp(url)),
    "pycurl": status,
}
print("status:", seen, "- pycurl sent", sent, "of", len(BODY))
assert set(seen.values()) == {200}
assert sent < len(BODY)
PYTHON
