#!/usr/bin/env bash
# asyncpg 0.32.0: the timeout of connect() is one for all hosts of the address, while connect_timeout of libpq counts for
# each. Seen with a first host that accepts the connection and says nothing, as one whose disk hangs: TimeoutError, and
# the second host is never tried. So of a failover pair only one that refuses connections is passed over: connect to
# each host by itself, with a timeout of its own.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check asyncpg==0.32.0
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio

import asyncpg

tried = []


async def main():
    silent = await asyncio.start_server(lambda *_: tried.append("first"), "127.0.0.1", 0)
    other = await asyncio.start_server(lambda *_: tried.append("second"), "127.0.0.1", 0)
    hosts = ",".join(f"127.0.0.1:{server.sockets[0].getsockname()[1]}" for server in (silent, other))
    try:
        await asyncpg.connect(f"postgresql://me@{hosts}/db?sslmode=disable", timeout=2)
    except TimeoutError:
        print("TimeoutError; tried:", tried)
    else:
        raise AssertionError


asyncio.run(main())
assert tried == ["first"]
PYTHON
