"""The webhooks, declared as the routes are, for those who write a receiver.

`collation` writes the bodies, from bytes that are never decoded; a test holds these declarations to what it writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from collator.messages import PacketReport
from collator.signing import ID, SIGNATURE, TIMESTAMP
from collator.states import EndedBy
from collator.web.routes.route import BodyType
from collator.webhook import TEST

_TEXT = {"type": "string"}


class CollatedData(msgspec.Struct, frozen=True, kw_only=True):
    """A resource that is whole."""

    resource_id: str
    completed_by: EndedBy
    """Why it ended: `last`, `total` or `forced`."""
    total: int
    """How many packets it has."""
    metadata: Mapping[str, Any]
    """What a packet said of the resource; empty where none did."""
    supersedes: str | msgspec.UnsetType = msgspec.UNSET
    """The id of the webhook that told of the resource before a retry; there only where there is one."""
    outputs: Sequence[msgspec.Raw]
    """The output of each packet, in index order, as the processor gave it."""


class Collated(msgspec.Struct, frozen=True, kw_only=True):
    """The body of the webhook of a resource that is whole."""

    type: Literal["resource.collated"]
    timestamp: str
    """When the resource ended, RFC 3339 in UTC."""
    data: CollatedData


class PartialOutput(msgspec.Struct, frozen=True):
    """An output of a resource that is not whole."""

    index: int
    output: msgspec.Raw
    """Any JSON value."""


class IncompleteData(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A resource that ended early, or of which packets failed: no `outputs`, as a part must not pass for the whole."""

    resource_id: str
    completed_by: EndedBy
    """Why it ended."""
    total: int | None
    """How many packets it was to have; `None` where nobody said."""
    metadata: Mapping[str, Any]
    """What a packet said of the resource; empty where none did."""
    supersedes: str | msgspec.UnsetType = msgspec.UNSET
    """The id of the webhook that told of the resource before a retry; there only where there is one."""
    partial: Sequence[PartialOutput]
    """The outputs that there are, in index order."""
    missing: Sequence[tuple[int, int]]
    """Indexes that never came, as ranges with both ends."""
    unfinished: Sequence[tuple[int, int]]
    """Indexes that came and had no outcome yet, as ranges with both ends."""
    failed: Sequence[PacketReport]
    """The packets that the processor gave no output for, the first 10,000."""
    failed_more: Sequence[tuple[int, int]] = ()
    """Indexes of further ones, as ranges with both ends; there only where there are any."""


class Incomplete(msgspec.Struct, frozen=True, kw_only=True):
    """The body of the webhook of a resource that is not whole."""

    type: Literal["resource.incomplete"]
    timestamp: str
    """When the resource ended, RFC 3339 in UTC."""
    data: IncompleteData


class EndpointTestData(msgspec.Struct, frozen=True, kw_only=True):
    """What is tested."""

    endpoint: str
    """The name of the endpoint."""


class EndpointTest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of the webhook by which a person tests a receiver."""

    type: Literal["test"]
    timestamp: str
    """When it was sent, RFC 3339 in UTC."""
    data: EndpointTestData


class WebhookType(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of webhook."""

    name: str
    """What its `type` says."""
    says: str
    """When it is sent: one line."""
    body: BodyType


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """A header of every webhook."""

    name: str
    says: str
    schema: Mapping[str, Any]


FIELDS = (
    Field(
        name=ID,
        says="The same at every attempt and every endpoint, and at a replay: use it to recognise repeats.",
        schema={**_TEXT, "pattern": "^msg_[a-z2-7]{52}$"},
    ),
    Field(
        name=TIMESTAMP,
        says="When this attempt was made, in seconds since 1970. Refuse one that is far from now.",
        schema={**_TEXT, "pattern": "^[0-9]+$"},
    ),
    Field(
        name=SIGNATURE,
        says=(
            "HMAC-SHA256 over `webhook-id.webhook-timestamp.body` in base64 behind `v1,`: one for each secret, with "
            "blanks between them, of which one has to be right (Standard Webhooks 1.0)."
        ),
        schema={**_TEXT, "pattern": "^v1,[^ ]+( v1,[^ ]+)*$"},
    ),
)

ANSWERS: Mapping[str, str] = MappingProxyType(
    {
        "2XX": "It is received; it is not sent again.",
        "410": "The receiver accepts no more webhooks at this address: nothing is sent until the endpoint is resumed.",
        "default": "It is sent again later. With 429, 502, 503 and 504 `Retry-After` counts, for the address.",
    }
)
"""What the answer of a receiver means, by status."""

WEBHOOKS = (
    WebhookType(name="resource.collated", says="A resource has ended, and every packet has its output.", body=Collated),
    WebhookType(name="resource.incomplete", says="A resource has ended, and something is missing.", body=Incomplete),
    WebhookType(name=TEST, says="A person tests the receiver: answer 2xx, and do nothing.", body=EndpointTest),
)
"""Every webhook that is sent. A resource that is cancelled gets none."""
