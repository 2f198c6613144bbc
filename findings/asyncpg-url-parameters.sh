#!/usr/bin/env bash
# asyncpg 0.32.0: parameters of an address that libpq keeps to itself, and asyncpg does not know, go to the server as
# settings. Seen with connect_timeout: it is in the first message to the server, which refuses it (PostgreSQL 18:
# unrecognized configuration parameter "connect_timeout"), and it limits no time. So an address that works with psql may
# fail; take such parameters out before.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check asyncpg==0.32.0
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio

import asyncpg

messages = []


async def serve(reader, writer):
    messages.append(await reader.read(4096))
    writer.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        await asyncpg.connect(f"postgresql://me@127.0.0.1:{port}/db?sslmode=disable&connect_timeout=3", timeout=10)
    except (OSError, asyncpg.PostgresConnectionError):
        print(messages)


asyncio.run(main())
assert b"\0connect_timeout\x003\0" in messages[0]
PYTHON
