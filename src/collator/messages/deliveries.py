"""Deliveries handed out, how an attempt at one ended, and the ids by which the world knows them."""

from __future__ import annotations

import hashlib
import re
import struct

import msgspec

from collator.messages.leases import Lease
from collator.states import DeliveryState

LARGE_BODY = 1024 * 1024
"""Bytes of a body beyond which its deliveries are *large*: they are handed out apart."""


class Delivery(msgspec.Struct, frozen=True):
    """One webhook to one endpoint, leased to the caller to be sent."""

    resource_id: str
    generation: bytes
    endpoint: str
    """The name; the URL is looked up at each attempt (R20)."""
    attempt: int
    """1 for the first; goes on counting over a replay (R24)."""
    step: int
    """Place in the retry schedule, from 0; a replay starts it anew."""
    lease: Lease
    body: bytes | None
    """The frozen body, or `None` where `Ledger.body` has to be asked for it, as for all that are large."""
    known_at: float = 0.0
    """Monotonic reading when the last output was known; 0 unless this attempt was created with the closing."""

    large: bool = False
    """Whether its body has more than `LARGE_BODY` bytes."""

    @property
    def webhook_id(self) -> str:
        """The id under which this generation is delivered, on every endpoint and attempt."""
        return webhook_id(self.resource_id, self.generation)


class FailedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What came with an answer that is no success."""

    status: int
    """The HTTP status."""
    media_type: str
    """What the receiver says that it is: its ``Content-Type``; empty where it says nothing."""
    size: int
    """Bytes of its body that came, of which at most some 64 KiB are read."""
    text: str
    """The first 2 KiB of a text; empty where it is none, or compressed."""


class Attempt(msgspec.Struct, frozen=True):
    """The end of an attempt to deliver."""

    delivery: Delivery
    state: DeliveryState
    """`DELIVERED`, `DUE` (try again after *delay*) or `DEAD`."""
    reason: str = ""
    """The answer in words: ``HTTP 503``, ``connection refused``."""
    delay: float = 0.0
    """Seconds until it is due again."""
    counted: bool = True
    """False where no attempt is used up (R23): nothing was sent, or what came back is about the receiver."""
    seconds: float = 0.0
    """How long it took."""
    excerpt: str = ""
    """What the receiver said of it. It may repeat what was sent to it, so that it is stored and never logged."""
    answer: FailedAnswer | None = None
    """The same at length, where there is a body: for who looks at this delivery alone."""
    pauses: bool = False
    """Whether its endpoint is paused from now on, for this reason: the receiver wants no more (410)."""

    @property
    def full_reason(self) -> str:
        """The reason, with what the receiver said."""
        return f"{self.reason}: {self.excerpt}" if self.excerpt else self.reason


class ReceiverAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a receiver said to a test."""

    webhook_id: str
    """The id of the test; no delivery has it."""
    accepted: bool
    """Whether it answered with a 2xx in time."""
    status: int | None
    """The HTTP status; null where there was no answer."""
    reason: str
    """The answer in words, as a delivery has it."""
    seconds: float
    """How long it took."""
    text: str
    """The first 2 KiB of a text answer."""


def webhook_id(resource_id: str, generation: bytes) -> str:
    """``msg_`` and the base32 of a hash of the resource and its generation (R11): no character that a header minds."""
    # Its digits are spread in one number: first each 40 bits to 64, then what was spread by halves, until every 5 bits
    # have a byte of their own. This takes 2 us, and base64.b32encode 7.
    number = int.from_bytes(_SPACE.join((b"", *_FORTIES.unpack(_digest(resource_id, generation) + _SPACE))))
    for shift, low, high in _SPREAD:
        number = number & low | (number & high) << shift
    return _PREFIX + number.to_bytes(_SPREAD_BYTES).translate(_DIGITS)[:_ID_DIGITS].decode()


def webhook_number(resource_id: str, generation: bytes) -> int:
    """The first 60 bits of the webhook id, by which a store can look for it."""
    return int.from_bytes(_digest(resource_id, generation)[:8]) >> 4


def delivery_id(webhook: str, endpoint: str) -> str:
    """The id of a delivery, for people and programs: ``WEBHOOK_ID:ENDPOINT``, which a receiver can say too."""
    return f"{webhook}:{endpoint}"


def parse_webhook_id(text: str) -> int | None:
    """The `webhook_number` of a webhook id; `None` where it cannot be one."""
    found = _WEBHOOK_ID.fullmatch(text)
    if found is None:
        return None
    number = 0
    for digit in found[1][:12]:  # 12 digits of 5 bits
        number = number << 5 | _BASE32.index(digit)
    return number


def parse_delivery_id(text: str) -> tuple[str, int, str] | None:
    """The webhook id, its `webhook_number` and the endpoint of a delivery id; `None` where it cannot be one."""
    webhook, _, endpoint = text.partition(":")
    number = parse_webhook_id(webhook)
    return None if number is None or not endpoint or ":" in endpoint else (webhook, number, endpoint)


def _digest(resource_id: str, generation: bytes) -> bytes:
    return hashlib.sha256(resource_id.encode() + b"\0" + generation).digest()


def _mask(bits: int, width: int) -> int:
    """A mask of the lowest *bits* of each *width* bits."""
    return sum(((1 << bits) - 1) << place for place in range(0, 8 * _SPREAD_BYTES, width))


_FORTIES = struct.Struct("5s" * 7)
_SPACE = bytes(3)
_SPREAD_BYTES, _ID_DIGITS = 56, 52
_SPREAD = tuple(
    (width // 2 - bits, _mask(bits, width), _mask(bits, width) << bits) for bits, width in ((20, 64), (10, 32), (5, 16))
)
"""For each halving: by how much the upper halves move, and the masks of both."""
_PREFIX = "msg_"
_WEBHOOK_ID = re.compile(r"msg_([a-z2-7]{52})")
_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_DIGITS = bytes.maketrans(bytes(range(32)), _BASE32.encode())
