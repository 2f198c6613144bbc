"""Many packets at once: an array is taken or refused whole, lines are judged one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collator.errors import Malformed
from collator.packet import Packet, PacketLimits
from collator.wire import decode_array
from tests.harness.lines import decode_lines

BOUNDS = PacketLimits()
GOOD = b'{"resource_id":"r","index":%d,"payload":{"a": 1}}'
BAD = {
    "no json": b"nonsense",
    "no packet": b'{"index":1}',
    "no object": b"[1]",
    "two packets": GOOD % 7 + b" " + GOOD % 8,
    "half a packet": b'{"resource_id":"r",',
    "index too high": GOOD % 1_000_000,
    "no utf-8": b'{"resource_id":"r","index":0,"payload":"\xff"}',
    "too deep": b'{"resource_id":"r","index":0,"payload":%s}' % (b"[" * 5_000 + b"]" * 5_000),
    "a byte order mark": b"\xef\xbb\xbf" + GOOD % 1,
}


def indexes(found: list[Packet | Malformed]) -> list[int | None]:
    """The index of each packet, `None` for each refusal."""
    return [found_one.index if isinstance(found_one, Packet) else None for found_one in found]


def test_an_array_gives_its_packets_in_order() -> None:
    packets = decode_array(b"[%s, %s]" % (GOOD % 5, GOOD % 2), BOUNDS)
    assert [packet.index for packet in packets] == [5, 2]
    assert bytes(packets[0].payload) == b'{"a": 1}'


def test_an_empty_array_is_no_packets() -> None:
    assert decode_array(b"[]", BOUNDS) == []


@pytest.mark.parametrize("bad", ["no packet", "index too high", "no utf-8", "too deep"])
def test_an_array_with_one_bad_packet_is_refused_whole(bad: str) -> None:
    with pytest.raises(Malformed):
        decode_array(b"[%s,%s]" % (GOOD % 0, BAD[bad]), BOUNDS)


def test_an_array_names_the_first_packet_that_is_wrong() -> None:
    with pytest.raises(Malformed, match="packet 1"):
        decode_array(b"[%s,%s,%s]" % (GOOD % 0, GOOD % 1_000_000, GOOD % 1_000_001), BOUNDS)


def test_the_grammar_is_what_is_wrong_behind_a_packet_with_a_whole_float() -> None:
    with pytest.raises(Malformed, match="more than one value"):
        decode_array(b'[{"resource_id":"a","index":0.0,"payload":1}] x', BOUNDS)


def test_an_array_takes_integers_as_ids() -> None:
    (packet,) = decode_array(b'[{"resource_id":7,"index":0,"payload":null}]', BOUNDS)
    assert packet.resource_id == "7"


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\n\n"])
def test_lines_give_their_packets_in_order_whatever_ends_them(end: bytes) -> None:
    assert indexes(decode_lines(GOOD % 3 + b"\n" + GOOD % 1 + b"\r\n" + GOOD % 2 + end, BOUNDS)) == [3, 1, 2]


@pytest.mark.parametrize("blank", [b"", b"\n", b"\n\n\n", b" \n\t\r\n"])
def test_blank_lines_are_nothing(blank: bytes) -> None:
    assert decode_lines(blank, BOUNDS) == []
    assert indexes(decode_lines(blank + GOOD % 1 + b"\n" + blank, BOUNDS)) == [1]


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_bad_line_spoils_no_other(bad: bytes) -> None:
    assert indexes(decode_lines(b"\n".join([GOOD % 0, bad, GOOD % 1]), BOUNDS)) == [0, None, 1]


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_line_is_judged_the_same_alone_and_among_others(bad: bytes) -> None:
    (alone,) = decode_lines(bad, BOUNDS)
    _, among, _, _ = decode_lines(b"\n".join([b"{}", bad, b"{}", GOOD % 1]), BOUNDS)
    assert isinstance(alone, Malformed)
    assert isinstance(among, Malformed)
    assert alone.detail == among.detail


def test_numbers_of_two_lines_are_not_read_as_one() -> None:
    data = b'{"resource_id":"r","index":0,"payload":1e308}\n{"payload":9,"resource_id":7,"index":1}\n'
    assert indexes(decode_lines(data, BOUNDS)) == [0, 1]


@pytest.mark.parametrize("bad", [b'"', b'{"resource_id":"r","index":0,"payload":"a nd so on}', b"]", b"1e9\\"])
def test_a_bad_line_hides_no_other(bad: bytes) -> None:
    infinite, good = (GOOD % 0).replace(b"1}", b"1e999}"), GOOD % 1
    assert indexes(decode_lines(b"\n".join([bad, infinite, bad, good, bad]), BOUNDS)) == [None, None, None, 1, None]


def test_a_packet_on_two_lines_is_two_bad_lines() -> None:
    assert indexes(decode_lines(b'{"resource_id":"r",\n"index":0,"payload":1}', BOUNDS)) == [None, None]


@given(st.lists(st.sampled_from(sorted(BAD)) | st.integers(0, 999_999), max_size=12))
def test_each_line_gets_one_answer_in_its_place(chosen: list[str | int]) -> None:
    data = b"\n".join(BAD[one] if isinstance(one, str) else GOOD % one for one in chosen)
    assert indexes(decode_lines(data, BOUNDS)) == [None if isinstance(one, str) else one for one in chosen]


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_p5_what_is_kept_of_a_line_that_is_malformed_holds_nothing_of_it(bad: bytes) -> None:
    """Else a stream of malformed lines fills the memory, as cycles are looked for seldom."""
    for data in (bad, bad + b"\n" + GOOD % 0):
        fault = decode_lines(data, BOUNDS)[0]
        assert isinstance(fault, Malformed)
        assert (fault.__traceback__, fault.__context__, fault.__cause__) == (None, None, None)


def test_p5_a_name_that_is_quoted_is_shortened() -> None:
    """The problem says what is wrong, and where, in a few hundred characters."""
    bad = (GOOD % 0).replace(b"{", b'{"%s": 1, ' % (b"x" * 100_000), 1)
    (fault,) = decode_lines(bad, BOUNDS)
    assert isinstance(fault, Malformed)
    assert fault.detail.startswith("Object contains unknown field `xxx")
    assert len(fault.detail) <= 300
    with pytest.raises(Malformed) as refusal:
        decode_array(b"[%s,%s]" % (GOOD % 0, bad), BOUNDS)
    assert len(refusal.value.detail) <= 300
    assert refusal.value.detail.endswith("x` - at `$[1]`")
