"""A stream means the same however it is cut: the splitter and the judge against a model of a few lines."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from collator.errors import CollatorError, Malformed
from collator.packet import Packet, PacketLimits
from collator.web.lines import LineGroup, Splitter, judge
from collator.web.problems import ProblemType, problem_of
from collator.wire import decode_packet

MAX_LINE = 120
BOUNDS = PacketLimits(max_payload=60)


def line(index: int, payload: object = 0) -> bytes:
    return json.dumps({"resource_id": "r", "index": index, "payload": payload}).encode()


GOOD = st.builds(line, st.integers(0, 9), st.one_of(st.none(), st.integers(), st.text(max_size=3)))
ODD = st.sampled_from(
    [
        b"",
        b" \t",
        b"{",
        b"]",
        b"NaN",
        line(1) + b"\r",
        line(1) + line(2),  # two on a line
        line(1) + b" " + line(2),
        b'{"resource_id": "r",',  # and one on two lines
        b'"index": 3, "payload": 0}',
        b'{"resource_id": "r", "index": 4, "payload": {"a": {}',
        b"}}",
        b'{"resource_id": "r", "index": 4, "payload": "a}',
        b'{"}',
        line(5)[:-9] + b'"\xff"}',
        b"\xef\xbb\xbf" + line(6),
        line(7, "long" * 40),
        b" " * 200,
        line(8, [[]] * 20),
        line(-1),
    ]
)
STREAMS = st.builds(
    lambda lines, end: b"\n".join(lines) + end, st.lists(GOOD | ODD, max_size=8), st.sampled_from([b"\n", b""])
)


def model(data: bytes) -> list[tuple[int, object]]:
    """What each line is: its packet, or the kind of its fault."""
    *whole, rest = data.split(b"\n")
    decided = [(number, verdict(text, ProblemType.MALFORMED)) for number, text in enumerate(whole, 1)]
    if rest:
        decided.append((len(whole) + 1, verdict(rest, ProblemType.INCOMPLETE_LINE)))
    return [(number, what) for number, what in decided if what is not None]


def verdict(text: bytes, wrong: ProblemType) -> object:
    if len(text) > MAX_LINE:
        return ProblemType.TOO_LARGE
    if not text.strip():
        return None
    try:
        return shown(decode_packet(text, BOUNDS))
    except Malformed:
        return wrong


def shown(packet: Packet) -> object:
    return packet.resource_id, packet.index, bytes(packet.payload)


def decide(pieces: list[bytes]) -> list[LineGroup]:
    splitter = Splitter(MAX_LINE)
    groups = [judge(block, BOUNDS) for piece in pieces for block in splitter.feed(piece)]
    rest = splitter.end()
    return groups if rest is None else [*groups, judge(rest, BOUNDS, cut_off=True)]


def decided(groups: list[LineGroup]) -> list[tuple[int, object]]:
    found: list[tuple[int, object]] = []
    for group in groups:
        found += [(number, shown(packet)) for number, packet in zip(group.numbers, group.packets, strict=True)]
        found += [(number, kind(error)) for number, error in group.faults]
    return sorted(found, key=lambda item: item[0])


def kind(error: CollatorError) -> ProblemType:
    return problem_of(error).kind


@given(data=STREAMS, cuts=st.lists(st.integers(0, 1000), max_size=6))
@example(data=b'{"resource_id": "r", "index": 4, "payload": "a}\n{"}\n', cuts=[])
@example(data=line(1) + line(2) + b'\n{"resource_id": "r",\n"index": 3, "payload": 0}\n', cuts=[])
@example(data=line(1) + b"\n\n" + line(2) + line(3) + b"\n", cuts=[])
def test_a_stream_means_the_same_however_it_is_cut(data: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    groups = decide([data[start:end] for start, end in pairwise(places)])
    assert decided(groups) == model(data)


@given(data=STREAMS)
def test_a_stream_that_comes_byte_by_byte_means_the_same(data: bytes) -> None:
    assert decided(decide([data[place : place + 1] for place in range(len(data))])) == model(data)


@given(data=STREAMS)
def test_every_line_is_decided_and_in_order(data: bytes) -> None:
    groups = decide([data[place : place + 7] for place in range(0, len(data), 7)])
    lasts = [group.last for group in groups]
    assert lasts == sorted(set(lasts))
    assert (lasts[-1] if lasts else 0) == data.count(b"\n") + (not data.endswith(b"\n") and bool(data))


def test_a_line_without_end_takes_no_memory() -> None:
    splitter = Splitter(MAX_LINE)
    for _ in range(100):
        assert splitter.feed(b"x" * 1000) == []
        assert len(splitter._tail) <= MAX_LINE
    (block,) = splitter.feed(b"\n")
    assert block.too_long


@given(data=st.lists(st.sampled_from([b"x", b"", b"y" * 200]), max_size=20).map(lambda lines: b"\n".join(lines) * 1000))
def test_blocks_follow_each_other_and_leave_nothing_out(data: bytes) -> None:
    blocks = Splitter(MAX_LINE).feed(data)
    assert sum(block.lines for block in blocks) == data.count(b"\n")
    assert all(block.data.count(b"\n") == block.lines for block in blocks if not block.too_long)
    assert all(left.last + 1 == right.first for left, right in pairwise(blocks))
