"""Outgoing requests: one request and its answer, in words of this project, for webhooks and payloads.

Lives here: the way of a request over HTTP/1.1, the limits on an answer (R22), and the translation of what can go wrong.
Does not live here: what an answer means, when to try again, what is sent.

| file | is |
|---|---|
| `egress` | the public class: one request, within one timeout from connecting to the last byte of the answer |
| `destination` | what all requests to one place have in common |
| `request`, `exchange` | a request under way, and what a connection sees of it |
| `body` | what is sent, whole or piece by piece |
| `answer`, `head`, `reader` | what the bytes that come back amount to; pure |
| `credentials` | what an answer must not repeat; pure |
| `policy` | where requests may go, by address; pure |
| `connection`, `tls` | the bytes of one connection, both ways |
| `dial`, `resolver`, `pool` | where connections come from, and where they stay in between |
| `failure` | what can go wrong, in words |

Redirects are not followed, cookies not kept, proxies and credentials of the environment not used. Why it is our own:
decision 11.
"""

from __future__ import annotations

from collator.egress.answer import MOST_SAID, REDIRECTS, TEXT, Answer, NoAnswer, text_of, words
from collator.egress.body import Body, Pieces, length
from collator.egress.credentials import cleared, credentials_of
from collator.egress.destination import Destination, destination
from collator.egress.egress import Egress
from collator.egress.policy import Policy
from collator.egress.reader import MAX_ANSWER
from collator.egress.request import OutboundRequest
from collator.egress.tls import context, missing_trust

__all__ = [
    "MAX_ANSWER",
    "MOST_SAID",
    "REDIRECTS",
    "TEXT",
    "Answer",
    "Body",
    "Destination",
    "Egress",
    "NoAnswer",
    "OutboundRequest",
    "Pieces",
    "Policy",
    "cleared",
    "context",
    "credentials_of",
    "destination",
    "length",
    "missing_trust",
    "text_of",
    "words",
]
