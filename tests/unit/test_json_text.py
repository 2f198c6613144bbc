"""What R3 asks of JSON is found in its bytes: the same as by making its values, at a price that has a bound."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collator.errors import Malformed
from collator.json_array import PART, split_array
from collator.json_text import fault, is_plain, is_too_deep
from collator.packet import PacketLimits
from collator.wire import decode_array

_value = msgspec.json.Decoder()
_grammar = msgspec.json.Decoder(msgspec.Raw)

DIGITS = [1, 199, 200, 201, 291, 292, 308, 309, 310, 4_299, 4_300, 4_301]
EXPONENTS = [
    "0",
    "00",
    "99",
    "100",
    "291",
    "292",
    "307",
    "308",
    "309",
    "0308",
    "0" * 250 + "309",
    "9" * 30,
    "0" * 4_400,
]
numbers = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "-"]),
    st.sampled_from(["0", "17976931348623157", "17976931348623159", *("9" * n for n in DIGITS), "1" + "0" * 308]),
    st.sampled_from(["", "", ".5", "." + "0" * 300 + "1"]),
    st.just("")
    | st.builds("{}{}{}".format, st.sampled_from("eE"), st.sampled_from(["", "+", "-"]), st.sampled_from(EXPONENTS)),
)
texts = st.sampled_from(["e999", '"1e999', "1e999\\", '\\"', "[[", "é", "1" * 300, "", ",1e999,", "\\\\"]).map(
    json.dumps
)
documents = st.recursive(
    numbers | texts | st.sampled_from(["true", "false", "null"]),
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(st.tuples(texts, inner), max_size=4).map(lambda items: f"{{{','.join(map(':'.join, items))}}}")
    ),
    max_leaves=12,
)


def is_taken_by_the_decoder(data: bytes) -> bool:
    try:
        _value.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    return True


@given(documents, st.booleans())
def test_r3_what_is_taken_is_what_can_be_decoded(document: str, spoilt: bool) -> None:
    data = document.encode().replace(b"\\u00e9", b"\xff" if spoilt else b"\\u00e9")
    _grammar.decode(data)
    assert (fault(data) is None) == is_taken_by_the_decoder(data)
    if is_plain(data):
        assert fault(data) is None


@given(st.integers(0, 2**32), st.integers(1, 140))
def test_r3_the_depth_is_counted_to_the_level(seed: int, most: int) -> None:
    """Brackets that go up and down at random, up to *most* levels, and the model of one line."""
    generator = random.Random(seed)
    brackets, level = bytearray(), 0
    while len(brackets) < 2_000 or level:
        up = level == 0 or (level < most and len(brackets) < 2_000 and generator.random() < 0.6)
        brackets += b"[" if up else b"]"
        level += 1 if up else -1
    data = bytes(brackets).replace(b"][", b"],[")
    deepest = max(data[:end].count(b"[") - data[:end].count(b"]") for end in range(len(data)))
    assert is_too_deep(data) == (deepest > 128)


# An array in parts.

LONG = b'{"resource_id":"r","index":%d,"payload":%s}'
PAYLOADS: dict[str, bytes] = {
    "numbers": b"1",
    "what looks like the end of a packet": b'[{"a":1},{"b":2},{"c":[{},{}]}]',
    "text of the same kind": b'"},{\\"},"',
    "longer than a part": b'"%s"' % (b"},{" * PART),
    "space": b'{"a" : 1 } ',
}
WRONG: dict[str, tuple[bytes, str]] = {
    "a packet": (LONG % (-1, b"1"), r"packet {}: index: -1"),
    "a float": (b'{"resource_id":"r","index":0.5,"payload":1}', r"packet {}: index: 0\.5"),
    "a type": (b"[1]", r"Expected `object`, got `array` - at `\$\[{}\]`"),
    "a member": (b'{"resource_id":"r","index":0,"payload":1,"x":1}', r"unknown field `x` - at `\$\[{}\]`"),
    "no json": (b"nonsense", r"malformed"),
    "nothing": (b"", r"malformed"),
    "two": (b"1 2", r"Expected|malformed"),
    "an end": (b"1],[", r"Expected|malformed"),
    "a deep one": (b"[" * 100_000, r"128"),
    "a long one": (b'{"resource_id":"r","index":0,"payload":"%s"}' % (b"x" * 3_000_000), r"bytes"),
}


def packets(payload: bytes, number: int) -> list[bytes]:
    return [LONG % (index, payload) for index in range(number)]


@pytest.mark.parametrize("payload", PAYLOADS.values(), ids=PAYLOADS)
@pytest.mark.parametrize("comma", [b",", b" ,\n\t"])
def test_an_array_is_the_same_in_parts(payload: bytes, comma: bytes) -> None:
    number = 2 + 3 * PART // len(payload) // 8
    data = b" [ %b ] " % comma.join(packets(payload, number))
    found = decode_array(data, PacketLimits())
    assert [packet.index for packet in found] == [*range(number)]
    assert all(bytes(packet.payload) == payload.strip() for packet in found)
    assert all(len(part) <= PART + len(payload) + 100 for part in split_array(data, longest=2**21))


@pytest.mark.parametrize(("wrong", "words"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("place", [0, 3_000, 5_999])
def test_the_first_that_is_wrong_is_named_in_whichever_part_it_is(wrong: bytes, words: str, place: int) -> None:
    items = packets(b"[{},{}]", 5_999)
    items.insert(place, wrong)
    with pytest.raises(Malformed, match=words.format(place)):
        decode_array(b"[%b]" % b",".join(items), PacketLimits())


@pytest.mark.parametrize("end", [b"", b",", b",]", b"}", b"] 1", b"]]"])
def test_an_array_that_does_not_end_as_one_is_refused(end: bytes) -> None:
    for payload in (b"1", b"[{},{}]"):
        with pytest.raises(Malformed):
            decode_array(b"[%b" % b",".join(packets(payload, 3_000)) + end, PacketLimits())


def test_an_array_of_space_is_empty() -> None:
    assert decode_array(b"\n[%b]" % (b" " * 3 * PART), PacketLimits()) == []


@settings(max_examples=30)
@given(st.lists(documents, min_size=1, max_size=30), st.sampled_from([", ", ","]))
def test_parts_hold_what_the_array_holds(items: list[str], comma: str) -> None:
    items *= 1 + 2 * PART // len(comma.join(items))
    data = f"[{comma.join(items)}]".encode()
    held: list[Any] = []
    for part in split_array(data, longest=2**20):
        held += msgspec.json.decode(part, type=list[msgspec.Raw])
    assert [bytes(one) for one in held] == [item.encode() for item in items]
