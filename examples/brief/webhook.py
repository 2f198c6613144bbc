"""Takes webhooks, and writes a text file for each finished resource: one output a line.

python webhook.py DIRECTORY SECRET_FILE [PORT]

Any web framework does. What counts: verify the signature, write the file before the answer, and answer 2xx only then.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

from standardwebhooks import Webhook, WebhookVerificationError


def handler(directory: Path, secret: str) -> type[BaseHTTPRequestHandler]:
    """The handler that writes into *directory* what *secret* has signed."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            try:
                Webhook(secret).verify(body, dict(self.headers))
            except WebhookVerificationError:
                self.send_error(401)
                return
            event = json.loads(body)
            if event["type"] != "test":  # a person tests this receiver
                self.write(event["data"])
            self.send_response(204)
            self.end_headers()

        def write(self, data: dict[str, Any]) -> None:
            """Write one file; the same webhook may come again after a crash, and writes it again."""
            outputs = data.get("outputs", [])  # of a resource whose packets did not all come there is "partial"
            path = directory / f"{quote(str(data['resource_id']), safe='')}.txt"
            new = path.with_suffix(".new")
            new.write_text("".join(f"{json.dumps(one)}\n" for one in outputs), "utf-8")
            new.replace(path)

    return Handler


def main(directory: str, secret_file: str, port: str = "9000") -> None:
    """Serve until it is told to stop."""
    Path(directory).mkdir(parents=True, exist_ok=True)
    (secret,) = (line for line in Path(secret_file).read_text("utf-8").splitlines() if line.startswith("whsec_"))
    ThreadingHTTPServer(("127.0.0.1", int(port)), handler(Path(directory), secret)).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
