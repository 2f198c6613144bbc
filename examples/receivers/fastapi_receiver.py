"""Takes webhooks with FastAPI, and keeps the body of each in a file under its id.

SECRET_FILE=collator-data/webhook.secret INBOX=inbox uvicorn --port 9000 fastapi_receiver:app
"""

import os
from pathlib import Path

from fastapi import FastAPI, Request, Response
from inbox import Inbox
from standardwebhooks import Webhook, WebhookVerificationError
from starlette.concurrency import run_in_threadpool

INBOX = Inbox(Path(os.environ.get("INBOX", "inbox")))
SECRET_FILE = Path(os.environ["SECRET_FILE"])
app = FastAPI()


def secret() -> str:
    """The current one, read for each webhook: it may have been replaced."""
    return next(line for line in SECRET_FILE.read_text("utf-8").split() if line.startswith("whsec_"))


@app.post("/")
async def receive(request: Request) -> Response:
    """Verify, store, and only then answer 2xx."""
    body = await request.body()  # the bytes as they came: what is signed
    webhook = Webhook(secret())
    try:
        webhook.verify(body, dict(request.headers))
    except WebhookVerificationError:
        return Response(status_code=401)
    await run_in_threadpool(INBOX.store, request.headers["webhook-id"], body)
    return Response(status_code=204)
