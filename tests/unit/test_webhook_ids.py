"""The ids of webhooks: base32 as the standard library has it, and found again by their first bits (R11)."""

from __future__ import annotations

import hashlib
from base64 import b32encode

from hypothesis import given
from hypothesis import strategies as st

from collator.messages import delivery_id, parse_delivery_id, webhook_id, webhook_number


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=50), st.binary(min_size=16, max_size=16))
def test_r11_an_id_is_the_base32_of_a_hash_and_leads_back_to_its_number(resource_id: str, generation: bytes) -> None:
    digest = hashlib.sha256(resource_id.encode() + b"\0" + generation).digest()
    found = webhook_id(resource_id, generation)
    assert found == "msg_" + b32encode(digest).decode().rstrip("=").lower()
    assert parse_delivery_id(delivery_id(found, "default")) == (
        found,
        webhook_number(resource_id, generation),
        "default",
    )
