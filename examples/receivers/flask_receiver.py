"""Takes webhooks with Flask, and keeps the body of each in a file under its id.

SECRET_FILE=collator-data/webhook.secret INBOX=inbox gunicorn --bind 127.0.0.1:9000 --threads 8 flask_receiver:app
"""

import os
from pathlib import Path

from flask import Flask, Response, request
from inbox import Inbox
from standardwebhooks import Webhook, WebhookVerificationError

INBOX = Inbox(Path(os.environ.get("INBOX", "inbox")))
SECRET_FILE = Path(os.environ["SECRET_FILE"])
app = Flask(__name__)


def secret() -> str:
    """The current one, read for each webhook: it may have been replaced."""
    return next(line for line in SECRET_FILE.read_text("utf-8").split() if line.startswith("whsec_"))


@app.post("/")
def receive() -> Response:
    """Verify, store, and only then answer 2xx."""
    body = request.get_data()  # the bytes as they came: what is signed
    headers = {name.lower(): value for name, value in request.headers}
    webhook = Webhook(secret())
    try:
        webhook.verify(body, headers)
    except WebhookVerificationError:
        return Response(status=401)
    INBOX.store(headers["webhook-id"], body)
    return Response(status=204)
