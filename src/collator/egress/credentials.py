"""Credentials of a request, taken out of what a receiver repeats of it (R21). Pure.

A page for developers that a receiver shows on an error may have the whole request in it, and what is kept of an answer
is shown to people who may not know its secrets: what the URL has before its ``@`` and behind its ``?``, and the
signature, with which the webhook could be sent once more while its timestamp lasts.
"""

from __future__ import annotations

import re
from base64 import b64decode
from urllib.parse import unquote

from msgspec.structs import replace

from collator.egress.answer import Answer, excerpt
from collator.target import Target

HIDDEN = b"***"
"""What stands in the place of a credential."""
_LEAST = 6
"""Characters of a password, or of a value in a query, that is hidden: what is shorter is in many texts by chance."""
_SIGNATURE = rb"v1a?,[A-Za-z0-9+/\\]{40,100}={0,2}"


def credentials_of(target: Target) -> re.Pattern[bytes]:
    """A pattern for the credentials of requests to *target*, whatever they are signed with."""
    token = target.authorization.removeprefix("Basic ")
    both = b64decode(token).decode("utf-8", "replace")
    query = target.path.partition("?")[2]
    values = [part.rpartition("=")[2] for part in query.split("&")]
    secrets = [token, both, both.partition(":")[2], *(form for one in (query, *values) for form in (one, unquote(one)))]
    forms = {form for one in secrets if len(one) >= _LEAST for form in (one, one.replace("/", r"\/"))}
    texts = sorted(forms, key=len, reverse=True)  # the whole of what has another in it goes first
    return re.compile(b"|".join([_SIGNATURE, *[re.escape(one.encode()) for one in texts]]))


def cleared(answer: Answer, credentials: re.Pattern[bytes]) -> Answer:
    """*answer* without *credentials* in what is kept of its text."""
    beginning, times = credentials.subn(HIDDEN, answer.beginning)
    if not times:
        return answer
    return replace(answer, beginning=beginning, excerpt=answer.excerpt and excerpt(beginning, answer.media))
