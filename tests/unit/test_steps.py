"""What is large is checked in steps: with the same result as in one go, and no step takes long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collator import json_text
from collator.errors import Malformed
from collator.json_array import PART
from collator.json_text import AT_ONCE, Steps, finish, is_too_deep, is_too_deep_steps
from collator.packet import Packet, PacketLimits, check, check_steps
from collator.web.lines import Splitter, judge, judge_steps
from collator.wire import array_parts, decode_packet, decode_packet_steps

MIB = 1024 * 1024
BOUNDS = PacketLimits()
T = TypeVar("T")
NEST = b"[" * 126 + b"]" * 126
LARGE = {
    "nests": b"[%b]" % b",".join([NEST] * (MIB // 256)),
    "objects": b"[%b]" % b",".join([b'{"a":1}'] * (MIB // 9)),
    "floats": b"[%b]" % b",".join([b"2.2250738585072011e-308"] * (MIB // 25)),
    "text": b'"%b"' % (b"x" * (MIB - 99)),
    "escapes": b'"%b"' % (rb"\"\u00e9" * (MIB // 9)),
}
WRONG = {
    "too large beyond many": b"[%b,1e999]" % b",".join([b'5e-324,"1e999"'] * 20_000),
    "too long an integer": b"[%b]" % (b"9" * 5_000),
    "too deep": b"[%b]" % b",".join([NEST] * 2000 + [b"[" * 128 + b"]" * 128]),
    "too large": b"[%b,1e999]" % (b"x" * 9).join([b'"', b'"']),
    "no utf-8": b'"\xff"',
    "no json": b"[1,]",
    "too long": b'"%b"' % (b"x" * MIB),
}


def packet(payload: bytes, *, index: int = 0, more: bytes = b"") -> bytes:
    return b'{"resource_id":"r","index":%d,"payload":%b%b}' % (index, payload, more)


def outcome(make: Callable[[], T]) -> T | str:
    """What *make* gives, or what it says is wrong."""
    try:
        return make()
    except Malformed as error:
        return error.detail


@pytest.mark.parametrize("payload", [*LARGE.values(), *WRONG.values(), b"1"], ids=[*LARGE, *WRONG, "small"])
@pytest.mark.parametrize("more", [b"", b',"total":0', b',"metadata":{"b":1,"a":2}', b',"x":1'])
def test_a_packet_is_the_same_or_as_wrong_in_steps(payload: bytes, more: bytes) -> None:
    data = packet(payload, more=more)
    whole = outcome(lambda: decode_packet(data, BOUNDS))
    assert outcome(lambda: finish(decode_packet_steps(data, BOUNDS))) == whole
    raw = Packet(resource_id="r", index=0, payload=msgspec.Raw(payload))
    assert outcome(lambda: finish(check_steps(raw, BOUNDS))) == outcome(lambda: check(raw, BOUNDS))


@pytest.mark.parametrize("payload", [*LARGE.values(), *WRONG.values()], ids=[*LARGE, *WRONG])
def test_a_long_line_is_the_same_or_as_wrong_in_steps(payload: bytes) -> None:
    data, splitter = packet(payload) + b"\n", Splitter(2 * MIB)
    blocks = [block for start in range(0, len(data), AT_ONCE) for block in splitter.feed(data[start : start + AT_ONCE])]
    assert [block.long for block in blocks] == [len(data) > AT_ONCE]
    (block,) = blocks
    whole = judge(block, BOUNDS)
    steps = finish(judge_steps(block, BOUNDS))
    assert (steps.packets, [*steps.numbers], len(steps.faults)) == (whole.packets, [*whole.numbers], len(whole.faults))
    assert [(line, str(error)) for line, error in steps.faults] == [(line, str(error)) for line, error in whole.faults]


def test_a_long_line_stands_alone_whatever_came_with_its_end() -> None:
    splitter, others = Splitter(2 * MIB), packet(b"2", index=2) + b"\n" + packet(b"3", index=3) + b"\n"
    data = packet(LARGE["text"]) + b"\n" + others
    blocks = [*splitter.feed(data[: AT_ONCE + 1]), *splitter.feed(data[AT_ONCE + 1 :])]
    assert [(block.first, block.lines, block.long) for block in blocks] == [(1, 1, True), (2, 2, False)]
    assert b"".join(block.data for block in blocks) == data


@pytest.mark.parametrize("wrong", [b"", *WRONG.values()], ids=["nothing", *WRONG])
def test_an_array_of_large_packets_is_the_same_or_as_wrong_in_steps(wrong: bytes) -> None:
    items = [packet(payload, index=index) for index, payload in enumerate(LARGE.values())]
    items += [packet(b"%d" % index, index=index) for index in range(5, 2000)]
    items += [packet(wrong, index=2000)] if wrong else []
    singly = [outcome(partial(decode_packet, item, BOUNDS)) for item in items]
    parts = array_parts(b"[%b]" % b",".join(items), BOUNDS)
    taken = outcome(lambda: [one for part in parts for one in part])
    if not wrong:
        assert taken == singly
    elif wrong != WRONG["no json"]:  # which only the array as a whole can tell
        assert taken == f"packet 2000: {singly[-1]}"
    else:
        assert isinstance(taken, str)


def joined(items: list[str]) -> str:
    return f"[{','.join(items)}]"


NESTED = st.recursive(
    st.sampled_from(["1", '"[{"', r'"\"["', '""']), lambda inner: st.lists(inner).map(joined), max_leaves=60
)


@given(NESTED)
def test_depth_is_found_across_the_steps(text: str) -> None:
    data, deep = text.encode(), json_text.MAX_DEPTH
    depth = _depth(msgspec.json.decode(data))
    wrapped = [b"[" * levels + data + b"]" * levels for levels in (deep - depth, deep - depth + 1)]
    assert [finish(is_too_deep_steps(one)) for one in wrapped] == [False, True]
    filled = b"[%b]" % b",".join([b"[[]]"] * (3 * json_text.BRACKETS_AT_ONCE) + [wrapped[0][1:-1] or b"1"])
    assert finish(is_too_deep_steps(filled)) is is_too_deep(filled) is False


def _depth(value: object) -> int:
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


def floats(number: bytes) -> bytes:
    return b"[%b]" % b",".join([number] * (MIB // (len(number) + 1)))


LONGEST = {
    "nests": LARGE["nests"],
    "short large floats": floats(b"1e308"),
    "floats near the largest": floats(b"1.7976931348623157e308"),
    "numbers in texts": floats(b'1,"1e999"'),
    "one too large": floats(b"5e-324")[:-1] + b",1e999]",
}


@pytest.mark.parametrize("payload", LONGEST.values(), ids=LONGEST)
def test_no_step_of_what_takes_longest_takes_half_of_it(payload: bytes) -> None:
    data = packet(payload)
    pieces: list[Callable[[], Steps[object] | Iterator[object]]] = [
        lambda: decode_packet_steps(data, BOUNDS),
        lambda: array_parts(b"[%b]" % data, BOUNDS),
        lambda: json_text.fault_steps(payload, plain=False),
    ]
    for make in pieces:
        seconds = min((_taken(make()) for _ in range(5)), key=max)
        assert max(seconds) < sum(seconds) / 2


def _taken(steps: Steps[object] | Iterator[object]) -> list[float]:
    """Seconds of this thread that each of *steps* took."""
    seconds: list[float] = []
    while True:
        began = time.thread_time()
        try:
            next(steps)
        except (StopIteration, Malformed):
            return seconds
        finally:
            seconds.append(time.thread_time() - began)


def test_parts_of_small_packets_have_no_steps() -> None:
    data = b"[%b]" % b",".join(packet(b"1", index=index) for index in range(5 * PART // 40))
    assert all(array_parts(data, BOUNDS))
