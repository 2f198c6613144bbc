"""The routes by which packets come in."""

from __future__ import annotations

from typing import Any

import msgspec

from collator import packet
from collator.tokens import Role
from collator.web.options import flag, number, word
from collator.web.problems import ProblemType
from collator.web.receipts import Receipts, WireReceipt
from collator.web.routes.route import JSON, NDJSON, STORE_PROBLEMS, Route, RouteReply
from collator.web.schemas import REFERENCE
from collator.web.streams import Wanted
from collator.web.summary import StreamSummary


class WirePacket(packet.Packet, frozen=True, forbid_unknown_fields=True):
    """One piece of one resource."""

    metadata: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)  # the default itself is no JSON
    """A JSON object of at most 4 KiB that belongs to the resource, and goes into its webhook."""


# As OpenAPI 3.2 has it: the lines of a sequence are the items of an array.
_LINES = {
    "type": "array",
    "items": {
        "anyOf": [{"$ref": REFERENCE.format(name=name)} for name in ("WireReceipt", "RejectedLine", "StreamSummary")]
    },
    "description": "A receipt a line, or the number of a line that holds no packet and its problem; at last a summary.",
}
_ONE = {"resource_id": "call-17", "index": 0, "payload": {"text": "hello"}}
_LAST = {"resource_id": "call-17", "index": 1, "payload": {"text": "good bye"}, "last": True}
_REFUSALS = (
    ProblemType.CONFLICT,
    ProblemType.CLOSED,
    ProblemType.REFUSED,
    ProblemType.ERROR,
    *STORE_PROBLEMS,
    ProblemType.STORAGE_LOW,
)

POST_PACKETS = Route(
    name="postPackets",
    method="POST",
    path="/v1/packets",
    role=Role.SEND,
    own=True,
    says="Send packets: one, an array, or a stream with one packet per line.",
    more=(
        "A packet that was acknowledged survives a crash and a power cut. An array gets a receipt for each packet; a "
        "malformed one stores nothing. 200 and 202 promise that no packet has to be sent again: where any was "
        "refused the whole answer is 429, 503 or 507, with its summary or receipts beside the problem. A stream is "
        "judged line by line and may stay open for hours; a blank line now and then keeps a silent one open. Its "
        "answer is the summary, or with `receipts=all` a receipt a line as they come. Where the last line, with "
        "`done`, is missing, the stream has not ended well: send again what has no receipt, which is harmless."
    ),
    options=(
        word(
            "receipts",
            "Of a stream, whether each packet gets a line in the answer; `none` by default. An array always gets them.",
            Wanted,
        ),
    ),
    body={JSON: (WirePacket, list[WirePacket]), **dict.fromkeys(NDJSON, list[WirePacket])},
    examples={JSON: _ONE, **{lines: [_ONE, _LAST] for lines in NDJSON}},
    replies={
        202: RouteReply(
            says="One packet: accepted. An array: a receipt for each.",
            content={JSON: (WireReceipt, Receipts)},
        ),
        200: RouteReply(
            says="One packet: it was there already. A stream: its summary, or its receipts.",
            content={JSON: (WireReceipt, StreamSummary), NDJSON[0]: _LINES},
        ),
    },
    problems=(*_REFUSALS, ProblemType.STREAM_IDLE),
)

PUT_PACKET = Route(
    name="putPacket",
    method="PUT",
    path="/v1/resources/{resource_id}/packets/{index}",
    role=Role.SEND,
    says="Send one packet; the body is its payload.",
    options=(
        flag("last", "Whether this is the packet with the highest index."),
        number("total", "How many packets the resource has.", least=1, most=packet.MAX_INDEX + 1),
    ),
    body={JSON: Any},
    examples={JSON: {"text": "hello"}},
    replies={
        202: RouteReply(says="Accepted.", content={JSON: WireReceipt}),
        200: RouteReply(says="It was there already.", content={JSON: WireReceipt}),
    },
    problems=_REFUSALS,
)
