#!/usr/bin/env bash
# asyncpg 0.32.0 on asyncio: connect() to a database that does not exist raises InvalidCatalogNameError at once, but over TLS
# its connection stays open behind that. Seen: it is ended by a TLS shutdown, which waits for the server to close as well,
# for up to 30 s (asyncio's `ssl_shutdown_timeout`), and connect() does not wait for that. A program that ends its event
# loop then is told of an unclosed transport; without TLS the socket is closed in the next turn of the loop.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check asyncpg==0.32.0
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost \
    -keyout "$folder/key.pem" -out "$folder/certificate.pem" 2>/dev/null
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import asyncio
import socket
import ssl
import struct
import sys
import threading

import asyncpg

folder = sys.argv[1]
own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
own.load_cert_chain(f"{folder}/certificate.pem", f"{folder}/key.pem")
fields = b"SFATAL\0C3D000\0Mdatabase \"nowhere\" does not exist\0\0"
held = []


def refuse(listener):
    """Say as a server that the database is not there, and leave it to the client to close."""
    for _ in range(2):
        connection, peer = listener.accept()
        if connection.recv(8, socket.MSG_PEEK) == struct.pack("!ii", 8, 80877103):  # SSLRequest
            connection.recv(8)
            connection.sendall(b"S")
            connection = own.wrap_socket(connection, server_side=True)
        connection.recv(4096)
        connection.sendall(b"E" + struct.pack("!i", len(fields) + 4) + fields)
        held.append((connection, peer[1]))


async def open_behind(port, sslmode):
    """Whether the client's connection is established half a second after its connect() was refused."""
    try:
        await asyncpg.connect(host="127.0.0.1", port=port, user="u", database="nowhere", ssl=sslmode)
    except asyncpg.InvalidCatalogNameError as error:
        print(f"ssl={sslmode}: {type(error).__name__}", end=", ")
    await asyncio.sleep(0.5)
    rows = [line.split() for line in open("/proc/self/net/tcp")][1:]
    states = [row[3] for row in rows if int(row[1].split(":")[1], 16) == held[-1][1]]
    print("the connection is", "established" if states == ["01"] else "closed")
    return states == ["01"]


async def main(port):
    assert await open_behind(port, "require")
    assert not await open_behind(port, "disable")


listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=refuse, args=(listener,), daemon=True).start()
asyncio.run(main(listener.getsockname()[1]))
PYTHON
