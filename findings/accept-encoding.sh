#!/usr/bin/env bash
# aiohttp 3.14.5: a session that is told not to unpack answers (`auto_decompress=False`) still asks for packed ones. Seen:
# the request says `Accept-Encoding: gzip, deflate`, the server packs, and the program reads packed bytes. Who sends
# webhooks and keeps the first words of an answer for a person keeps those.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check aiohttp==3.14.5
"$folder/venv/bin/python" - <<'PYTHON'
import asyncio

import aiohttp
from aiohttp import web

TEXT = "the order is not known here"


async def answer(request: web.Request) -> web.Response:
    response = web.Response(text=TEXT, headers={"asked": request.headers.get("Accept-Encoding", "")})
    response.enable_compression()  # as its client asks for
    return response


async def main() -> None:
    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    async with aiohttp.ClientSession(auto_decompress=False) as session, session.post(url, data=b"{}") as given:
        body = await given.read()
        print(aiohttp.__version__, "asked for", given.headers["asked"], "and read", body[:10])
        assert "gzip" in given.headers["asked"]
        assert given.headers["Content-Encoding"] in {"gzip", "deflate"}
        assert TEXT.encode() not in body
    await runner.cleanup()


asyncio.run(main())
PYTHON
