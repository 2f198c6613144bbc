"""The test of a receiver: one webhook of the type `test`, as a person wants it. It is no delivery, and stored nowhere.

It goes the way of all webhooks, with their policy, TLS, signature and timeout. But it passes no breaker, as it is
wanted most while a receiver fails, and tells none what it found.
"""

from __future__ import annotations

from secrets import token_bytes

import msgspec

from collator.clock import Clock, rfc3339
from collator.delivery.endpoint import Endpoint
from collator.delivery.sender import HEADERS
from collator.delivery.verdict import SUCCESS
from collator.egress import TEXT, Answer, Egress, cleared, credentials_of, text_of, words
from collator.errors import Conflict
from collator.messages import ReceiverAnswer, webhook_id
from collator.signing import ID, SIGNATURE, TIMESTAMP, sign
from collator.target import parse
from collator.text import quoted
from collator.webhook import TEST


async def send_test(endpoint: Endpoint, egress: Egress, clock: Clock) -> ReceiverAnswer:
    """Send a test to the receiver of *endpoint*; what it said. `Conflict` where that is a part of this process."""
    if endpoint.handler is not None:
        raise Conflict(f"endpoint {quoted(endpoint.name)} is a function of this program, which gets no tests")
    name, wall = webhook_id("", token_bytes(16)), clock.wall()
    body, timestamp = body_of_test(endpoint.name, wall), int(wall)
    signature = sign(endpoint.signs_with(), name, timestamp, body)
    headers = {**HEADERS, ID: name, TIMESTAMP: f"{timestamp}", SIGNATURE: signature}
    began = clock.monotonic()
    answer = await egress.send(endpoint.url, headers, body, timeout=endpoint.timeout, keep=TEXT, tls=endpoint.tls)
    status = answer.status if isinstance(answer, Answer) else None
    return ReceiverAnswer(
        webhook_id=name,
        accepted=status in SUCCESS,
        status=status,
        reason=words(answer, size=len(body)),
        seconds=round(clock.monotonic() - began, 6),
        text=text_of(cleared(answer, credentials_of(parse(endpoint.url)))) if isinstance(answer, Answer) else "",
    )


def body_of_test(endpoint: str, wall: float) -> bytes:
    """The body of a test of *endpoint* at the time *wall*."""
    return msgspec.json.encode({"type": TEST, "timestamp": rfc3339(wall), "data": {"endpoint": endpoint}})
