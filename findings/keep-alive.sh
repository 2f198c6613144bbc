#!/usr/bin/env bash
# httptools 0.9.0: should_keep_alive() is right inside on_message_complete only.
# Asked once feed_data has returned from a whole HTTP/1.1 answer with a body, by length or in chunks, it says False, though
# inside the callback it said True; after an answer without a body it says True in both places. A client that asks behind
# feed_data closes every connection that it could keep, and nothing else tells.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check httptools==0.9.0
"$folder/venv/bin/python" - <<'PYTHON'
import httptools

ANSWERS = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "no body": b"HTTP/1.1 204 No Content\r\n\r\n",
}


class Client:
    def __init__(self):
        self.parser = httptools.HttpResponseParser(self)

    def on_message_complete(self):
        self.inside = self.parser.should_keep_alive()


seen = {}
for name, answer in ANSWERS.items():
    client = Client()
    client.parser.feed_data(answer)
    seen[name] = (client.inside, client.parser.should_keep_alive())
    print(f"{name}: inside {seen[name][0]}, behind {seen[name][1]}")
assert seen == {"length": (True, False), "chunks": (True, False), "no body": (True, True)}
PYTHON
