"""The packet as it comes from the wire: what is taken, what is refused, and with which words (R1 to R4)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collator.errors import Malformed
from collator.json_text import is_too_deep
from collator.packet import Packet, PacketLimits, check_id, check_json, claimed_total
from collator.wire import decode_array, decode_packet
from tests.harness.lines import decode_lines

BOUNDS = PacketLimits()

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def line(payload: bytes = b"1", **fields: object) -> bytes:
    """One packet on the wire."""
    said = {"resource_id": "r", "index": 0, **fields}
    rest = ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in said.items())
    return b'{"payload":%s,%s}' % (payload, rest.encode())


def decode(payload: bytes = b"1", **fields: object) -> Packet:
    return decode_packet(line(payload, **fields), BOUNDS)


def words(data: bytes, packet_limits: PacketLimits = BOUNDS) -> str:
    """What is wrong with *data*."""
    with pytest.raises(Malformed) as refusal:
        decode_packet(data, packet_limits)
    return refusal.value.detail


def test_a_packet_is_what_its_sender_wrote() -> None:
    packet = decode(b'{"a": [1.0]}', resource_id="call-17", index=3, last=True)
    assert (packet.resource_id, packet.index, packet.last, packet.total) == ("call-17", 3, True, None)
    assert (bytes(packet.payload), bytes(packet.metadata)) == (b'{"a": [1.0]}', b"")


def test_only_id_index_and_payload_are_required() -> None:
    packet = decode()
    assert (packet.last, packet.total, bytes(packet.metadata)) == (False, None, b"")


@pytest.mark.parametrize("absent", ["resource_id", "index", "payload"])
def test_what_is_required_is_named_where_it_is_absent(absent: str) -> None:
    said = {"resource_id": "r", "index": 0, "payload": 1}
    del said[absent]
    assert absent in words(json.dumps(said).encode())


def test_unknown_fields_are_refused_by_name() -> None:
    assert "lsat" in words(line(lsat=True))


@pytest.mark.parametrize(("given_id", "taken"), [(17, "17"), (-3, "-3"), (0, "0"), (2**63, str(2**63)), ("017", "017")])
def test_r1_an_integer_becomes_its_decimal_text(given_id: object, taken: str) -> None:
    assert decode(resource_id=given_id).resource_id == taken


@pytest.mark.parametrize("name", ["a", "a" * 255, "é" * 127, "😀" * 63, " ", "..", "a/b?c=d#e", '"\\', "e\u0301", "é"])
def test_r1_text_of_up_to_255_bytes_is_taken_as_it_is(name: str) -> None:
    assert decode(resource_id=name).resource_id == name
    assert check_id(name) == name


@pytest.mark.parametrize("name", ["", "a" * 256, "é" * 128, "😀" * 64, "a\n", "\0", "\x7f", "a\x85b", "\x9f"])
def test_r1_other_text_is_refused(name: str) -> None:
    assert "resource_id" in words(line(resource_id=name))
    with pytest.raises(Malformed):
        check_id(name)


@pytest.mark.parametrize("name", [1.5, True, None, ["a"], {"a": 1}])
def test_r1_an_id_is_text_or_an_integer(name: object) -> None:
    assert "resource_id" in words(line(resource_id=name))


@pytest.mark.parametrize("data", [b'"\\ud800"', b'"\\udc00x"', b"1" + b"0" * 5_000, b'"\xff"'])
def test_r1_what_utf_8_cannot_hold_is_refused(data: bytes) -> None:
    words(b'{"resource_id":%s,"index":0,"payload":1}' % data)


def test_r1_half_of_a_surrogate_pair_is_refused_outside_the_wire_too() -> None:
    with pytest.raises(Malformed, match="resource_id"):
        check_id("\ud800")


@pytest.mark.parametrize("index", [0, 1, 999_999])
def test_r2_an_index_within_bounds_is_taken(index: int) -> None:
    assert decode(index=index).index == index


@pytest.mark.parametrize("index", [-1, 1_000_000, 2**63, 10**30, -1.0, 1e6, 1e30, 0.5, True, "1", None])
def test_r2_any_other_index_is_refused(index: object) -> None:
    assert "index" in words(line(index=index))


@pytest.mark.parametrize(
    ("text", "index"), [("0.0", 0), ("-0.0", 0), ("1e3", 1000), ("1E+3", 1000), ("12.5e1", 125), ("999999.0", 999_999)]
)
def test_r2_a_float_without_a_fraction_is_the_integer(text: str, index: int) -> None:
    """JSON has one kind of number, and JSON Schema calls each of these an integer."""
    for name in ("index", "resource_id"):
        data = line(**{name: "?"}).replace(b'"?"', text.encode())  # type: ignore[arg-type]
        (first,), (second,) = decode_array(b"[%s]" % data, BOUNDS), decode_lines(data + b"\n", BOUNDS)
        assert isinstance(second, Packet)
        for packet in (decode_packet(data, BOUNDS), first, second):
            value = getattr(packet, name)
            assert (value, type(value)) == ((index, int) if name == "index" else (str(index), str))
    assert type(decode_packet(line(total="?").replace(b'"?"', b"7e0"), BOUNDS).total) is int


@pytest.mark.parametrize("name", ["index", "total", "resource_id"])
@pytest.mark.parametrize("text", ["0.5", "1e-1", "1e300", "9007199254740994.0"])
def test_r2_any_other_float_is_refused(name: str, text: str) -> None:
    assert f"{name}: {text} is not a whole number" in words(
        line(**{name: "?"}).replace(b'"?"', text.encode())  # type: ignore[arg-type]
    )


def test_a_float_in_an_array_is_refused_with_its_place() -> None:
    with pytest.raises(Malformed, match=r"packet 1: index: 0\.5 is not a whole number"):
        decode_array(b"[%s,%s]" % (line(index=0.0), line(index=0.5)), BOUNDS)


def test_what_is_wrong_beside_a_float_is_told_in_the_words_of_the_contract() -> None:
    assert words(line(index="x")) == "Expected `int`, got `str` - at `$.index`"


def test_r2_the_bound_is_a_setting() -> None:
    assert decode_packet(line(index=4), PacketLimits(max_packets=5)).index == 4
    assert "between 0 and 4" in words(line(index=5), PacketLimits(max_packets=5))


@given(values)
def test_r3_any_json_value_is_a_payload_and_keeps_its_bytes(value: object) -> None:
    for payload in (
        json.dumps(value).encode(),
        json.dumps(value, ensure_ascii=False, indent=2).encode("utf-8", "ignore"),
    ):
        assert bytes(decode(payload).payload) == payload


def test_r3_null_is_a_payload() -> None:
    assert bytes(decode(b"null").payload) == b"null"


@pytest.mark.parametrize("payload", [b"1e2", b"-0", b"1" + b"0" * 400, b'"\\u0000"', b'{"a":1,"a":2}', b"1e-999"])
def test_r3_numbers_and_names_are_not_made_canonical(payload: bytes) -> None:
    assert bytes(decode(payload).payload) == payload


@pytest.mark.parametrize("payload", [b"NaN", b"Infinity", b"1e999", b"[-1e999]", b"01", b"+1", b".5", b"", b"[1,]"])
def test_r3_what_is_not_json_or_not_finite_is_refused(payload: bytes) -> None:
    words(line(payload))


@pytest.mark.parametrize("payload", [b'"\xff"', b'"\xc3"', b'"\xed\xa0\x80"', b'"\xc0\x80"', b'["\xf8"]'])
def test_r3_what_is_not_utf_8_is_refused(payload: bytes) -> None:
    assert "UTF-8" in words(line(payload))


@pytest.mark.parametrize("payload", [b'"\\ud800"', b'"\\ud800\\u0041"', b'"\\udc00"', b'{"\\ud800":1}'])
def test_r3_half_of_a_surrogate_pair_is_refused(payload: bytes) -> None:
    words(line(payload))


def test_r3_the_size_is_bounded() -> None:
    packet_limits = PacketLimits(max_payload=10)
    assert len(decode_packet(line(b'"12345678"'), packet_limits).payload) == 10
    assert "11 bytes" in words(line(b'"123456789"'), packet_limits)


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_r3_the_depth_is_bounded(opening: bytes, closing: bytes) -> None:
    assert decode(opening * 128 + b"1" + closing * 128)
    for depth in (129, 1_000, 100_000):
        assert "128" in words(line(opening * depth + b"1" + closing * depth))


@pytest.mark.parametrize("payload", [b'"%s"' % (b"[{" * 500), b"[%s]" % b",".join([b"[]"] * 500), b'["\\"[[[["]'])
def test_r3_brackets_side_by_side_or_in_text_are_no_depth(payload: bytes) -> None:
    assert bytes(decode(payload).payload) == payload


def test_r3_deep_brackets_among_text_full_of_brackets_are_found() -> None:
    deep = b'["\\\\", "]]]]", %s' * 129 % ((b"",) * 129) + b"1" + b"]" * 129
    with pytest.raises(Malformed, match="128"):
        check_json(deep, "output")


def depth_of(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)


@given(values, st.integers(120, 130), st.text('[]{}"\\a'), st.booleans())
def test_r3_the_depth_is_that_of_the_value(value: object, levels: int, text: str, escaped: bool) -> None:
    for level in range(levels):
        value = [text, value] if level % 2 else {text: value, "b": [[]]}
    data = json.dumps(value, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    assert is_too_deep(data) == (depth_of(value) > 128)


@pytest.mark.parametrize(("fields", "total"), [({}, None), ({"last": True}, 4), ({"total": 9}, 9)])
def test_r4_last_and_total_say_the_same_thing(fields: dict[str, Any], total: int | None) -> None:
    assert claimed_total(decode(index=3, **fields)) == total


def test_r4_last_and_total_on_one_packet_must_agree() -> None:
    assert claimed_total(decode(index=3, last=True, total=4)) == 4
    for total in (3, 5):
        assert "total" in words(line(index=3, last=True, total=total))


@pytest.mark.parametrize("total", [0, -1, 1_000_001, 1_000_001.0, 0.0, "3", True])
def test_r4_a_total_out_of_bounds_is_refused(total: object) -> None:
    assert "total" in words(line(total=total))


@pytest.mark.parametrize("index", [3, 4])
def test_r4_an_index_beyond_its_own_total_is_refused(index: int) -> None:
    assert "beyond" in words(line(index=index, total=3))


def test_r4_null_stands_for_each_optional_member() -> None:
    data = line(last=None, total=None, metadata=None)
    (first,), (second,) = decode_array(b"[%s]" % data, BOUNDS), decode_lines(data + b"\n", BOUNDS)
    assert isinstance(second, Packet)
    for packet in (decode_packet(data, BOUNDS), first, second):
        assert (packet.last, packet.total, bytes(packet.metadata)) == (False, None, b"")


@pytest.mark.parametrize("name", ["resource_id", "index"])
def test_null_stands_for_nothing_else(name: str) -> None:
    assert name in words(line(**{name: None}))  # type: ignore[arg-type]


@pytest.mark.parametrize("last", [1, 1.0, "true"])
def test_r4_last_is_true_or_false(last: object) -> None:
    assert "last" in words(line(last=last))


@given(st.dictionaries(st.text(max_size=8), values, max_size=4))
def test_r4_metadata_is_an_object_in_canonical_form(metadata: dict[str, object]) -> None:
    shuffled = dict(reversed(metadata.items()))
    one, two = decode(metadata=metadata).metadata, decode(metadata=shuffled).metadata
    assert one is not None
    assert two is not None
    assert bytes(one) == bytes(two)
    assert json.loads(bytes(one)) == metadata


@pytest.mark.parametrize("metadata", [[], "a", 1, True])
def test_r4_metadata_is_nothing_but_an_object(metadata: object) -> None:
    assert "metadata" in words(line(metadata=metadata))


@pytest.mark.parametrize("metadata", [b'{"a":1e999}', b'{"a":"\xff"}', b'{"a":%s}' % (b"[" * 200 + b"]" * 200)])
def test_r4_metadata_is_json_like_a_payload(metadata: bytes) -> None:
    words(b'{"resource_id":"r","index":0,"payload":1,"metadata":%s}' % metadata)


def test_r4_metadata_is_at_most_4_kib() -> None:
    assert decode(metadata={"a": "x" * (4_096 - 8)}).metadata
    assert "4096" in words(line(metadata={"a": "x" * (4_096 - 7)}))


def test_r4_metadata_come_over_the_wire_as_an_object() -> None:
    line = b'{"resource_id": "r", "index": 0, "payload": 1, "metadata": {"b": 1, "a": [2]}}'
    assert bytes(decode_packet(line, PacketLimits()).metadata) == b'{"a":[2],"b":1}'
    assert not decode_packet(line.replace(b'{"b": 1, "a": [2]}', b"null"), PacketLimits()).metadata
    with pytest.raises(Malformed, match="object"):
        decode_packet(line.replace(b'{"b": 1, "a": [2]}', b"[1]"), PacketLimits())
