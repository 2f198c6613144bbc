#!/usr/bin/env bash
# standardwebhooks 1.1.0 (Python) takes what stands before a secret for a part of it.
# Secrets come as whsec_ and base64, one a file or line. Seen: a comment line or a list of two in the file gives no error but
# another key, as characters outside base64 are passed over, and then every genuine webhook is "no matching signature".
# Whoever reads the secret from a file has to give the library that line alone.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check standardwebhooks==1.1.0
"$folder/venv/bin/python" - <<'PYTHON'
import base64
from datetime import UTC, datetime

from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

SECRET = "whsec_" + base64.b64encode(bytes(range(24))).decode()
now = datetime.now(UTC)
headers = {
    "webhook-id": "msg_1",
    "webhook-timestamp": str(int(now.timestamp())),
    "webhook-signature": Webhook(SECRET).sign("msg_1", now, "{}"),
}
Webhook(SECRET).verify("{}", headers)
Webhook(SECRET + "\n").verify("{}", headers)
for text in ("# the secret\n" + SECRET, "v1," + SECRET):
    verifier = Webhook(text)  # no error
    try:
        verifier.verify("{}", headers)
    except WebhookVerificationError as error:
        print(repr(text), "is taken; a genuine webhook:", error)
    else:
        raise SystemExit("it verifies now")
PYTHON
