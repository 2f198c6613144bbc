#!/usr/bin/env bash
# eventsource 4.1.1 and undici 7.30.2 (npm), sseclient-py 1.9.0 (Python): a block of server-sent events that has an id
# and no data is no event, but its id is where a client goes on (HTML, "dispatch the event", sets the id first). With
# it a server that filters can move a reader past what it does not tell him. Seen with event 7, and then the id 9
# alone: undici asks again with Last-Event-ID 9, as browsers do. eventsource asks with 7, so that a server looks once
# more through all that it left out, or says that the place is too old; with sseclient-py the caller never learns of 9.
# A server that relies on ids has to give each with data.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check requests==2.34.0 sseclient-py==1.9.0
npm install --prefix "$folder" --silent --no-save --no-package-lock --no-audit --no-fund --ignore-scripts \
    eventsource@4.1.1 undici@7.30.2
cat >"$folder/follow.mjs" <<'JAVASCRIPT'
import { createRequire } from "node:module";

const [, , library, url] = process.argv;
const { EventSource } = createRequire(import.meta.url)(library);
new EventSource(url); // connects again by itself
setInterval(() => {}, 1000); // until this process is ended
JAVASCRIPT
cat >"$folder/ask.py" <<'PYTHON'
import queue
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import requests
import sseclient

folder = sys.argv[1]
asked = {path: queue.SimpleQueue() for path in ("/", "/undici", "/eventsource")}


class Events(BaseHTTPRequestHandler):
    """Event 7 and the id 9 alone, and the end of the stream."""

    def do_GET(self):
        asked[self.path].put(self.headers["Last-Event-ID"])
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(b"retry: 10\nid: 7\ndata: a\n\nid: 9\n\n")

    def log_message(self, *arguments):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Events)
Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/"


def asked_again(library):
    """The Last-Event-ID of the second request."""
    command = ["node", f"{folder}/follow.mjs", library, url + library]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as client:
        try:
            assert asked[f"/{library}"].get(timeout=30) is None
            return asked[f"/{library}"].get(timeout=30)
        finally:
            client.kill()


with requests.get(url, stream=True, timeout=30) as answer:
    told = [(event.id, event.data) for event in sseclient.SSEClient(answer).events()]
ids = {library: asked_again(library) for library in ("undici", "eventsource")}
print("Last-Event-ID of the second request:", ids, "- sseclient-py tells:", told)
assert ids == {"undici": "9", "eventsource": "7"}
assert told == [("7", "a")]
PYTHON
"$folder/venv/bin/python" "$folder/ask.py" "$folder"
