"""Receives packets over HTTP, as the app.py of the brief did. It has become one command; this is it as a program.

    python app.py            is the same as
    collator serve --workers celery --broker redis://127.0.0.1:6379/0 --webhook http://127.0.0.1:9000/

Where the broker is, and to whom webhooks go, says the environment: COLLATOR_BROKER, COLLATOR_WEBHOOK.
"""

import os

from collator import service
from collator.settings import load

DEFAULTS = {
    "COLLATOR_WORKERS": "celery",
    "COLLATOR_BROKER": "redis://127.0.0.1:6379/0",
    "COLLATOR_WEBHOOK": "http://127.0.0.1:9000/",
}

if __name__ == "__main__":
    service.run(load(environ={**DEFAULTS, **os.environ}))
