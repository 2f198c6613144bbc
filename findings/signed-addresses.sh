#!/usr/bin/env bash
# aiohttp 3.14.5 and requests 2.34.0 send another query than the signed address that they are given.
# Storage and workflow services sign addresses byte by byte. To RFC 3986, section 6, %2F and / differ in a query where the
# scheme gives them a meaning. Seen: aiohttp decodes %2F, %27, %3A, %40 and %7E, requests %7E; both drop a final question mark.
# urllib3 2.8.0, httpx 0.28.1 and libcurl 8.23 (pycurl 7.49.0) leave the query alone.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check aiohttp==3.14.5 yarl==1.25.1 httpx==0.28.1 requests==2.34.0 urllib3==2.8.0 pycurl==7.49.0
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import asyncio
import socket
import threading

import aiohttp
import httpx
import pycurl
import requests
import urllib3

SIGNED = "/run?sp=%2Ftriggers%2Frun&sig=a%2Bb%2Fc%27&t=%7E%3A%40"
EMPTY = "/run?"
targets = []


def serve(listener):
    while True:
        connection, _ = listener.accept()
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65_536)
        targets.append(head.split(b" ")[1].decode())
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        connection.close()


async def by_aiohttp(url):
    async with aiohttp.ClientSession() as session, session.get(url):
        pass


def by_pycurl(url):
    curl = pycurl.Curl()
    curl.setopt(curl.URL, url)
    curl.setopt(curl.WRITEFUNCTION, lambda _: None)
    curl.perform()


listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=serve, args=(listener,), daemon=True).start()
clients = {
    "aiohttp": lambda url: asyncio.run(by_aiohttp(url)),
    "requests": requests.get,
    "urllib3": lambda url: urllib3.PoolManager().request("GET", url),
    "httpx": httpx.get,
    "pycurl": by_pycurl,
}
seen = {}
for name, get in clients.items():
    for target in (SIGNED, EMPTY):
        get(f"http://127.0.0.1:{listener.getsockname()[1]}{target}")
    seen[name] = targets[-2:]
    print(name, *seen[name])
assert seen["aiohttp"] == ["/run?sp=/triggers/run&sig=a%2Bb/c'&t=~:@", "/run"]
assert seen["requests"] == [SIGNED.replace("%7E", "~"), "/run"]
assert seen["urllib3"] == seen["httpx"] == seen["pycurl"] == [SIGNED, EMPTY]
PYTHON
