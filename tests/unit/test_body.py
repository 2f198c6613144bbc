"""The body: exact bytes, JSON whatever is in it, in order of index (R17, R18)."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collator.messages import PacketReport
from collator.rules.body import Closing, body, frame
from collator.states import EndedBy, State

WHOLE = Closing(
    resource_id="call-17",
    state=State.COLLATED,
    ended_by=EndedBy.LAST,
    timestamp="2026-11-24T02:05:00.123456Z",
    total=3,
    metadata=None,
)
OUTPUTS = [(0, b"[3, 5]"), (1, b"[4]"), (2, b"[2, 2]")]


def whole(closing: Closing, outputs: list[tuple[int, bytes]]) -> bytes:
    head, tail = frame(closing)
    return body(closing.state, head, outputs, tail)


def test_r18_the_example_of_the_design() -> None:
    said = json.loads(whole(WHOLE, OUTPUTS))
    assert said == {
        "type": "resource.collated",
        "timestamp": "2026-11-24T02:05:00.123456Z",
        "data": {
            "resource_id": "call-17",
            "completed_by": "last",
            "total": 3,
            "metadata": {},
            "outputs": [[3, 5], [4], [2, 2]],
        },
    }
    assert [*said] == ["type", "timestamp", "data"]
    assert [*said["data"]] == ["resource_id", "completed_by", "total", "metadata", "outputs"]


def test_r18_outputs_stand_in_the_body_byte_for_byte() -> None:
    outputs = [(0, b'{"b" : 1,\n "a":"\\u00e9"}'), (1, b"1.0"), (2, b"null")]
    assert b'"outputs":[{"b" : 1,\n "a":"\\u00e9"},1.0,null]}}' in whole(WHOLE, outputs)


def test_r18_metadata_stands_in_the_body_byte_for_byte() -> None:
    assert b'"metadata":{"a":1.0}' in whole(msgspec.structs.replace(WHOLE, metadata=b'{"a":1.0}'), OUTPUTS)


def test_r18_an_incomplete_resource_has_a_partial_and_no_outputs() -> None:
    closing = msgspec.structs.replace(
        WHOLE,
        state=State.INCOMPLETE,
        ended_by=EndedBy.IDLE_TIMEOUT,
        total=None,
        missing=[(3, 7), (9, 9)],
        unfinished=[(2, 2)],
        failed=[PacketReport(1, 'no such "word"', 4)],
    )
    assert json.loads(whole(closing, [(0, b'"a"'), (8, b"{}")])) == {
        "type": "resource.incomplete",
        "timestamp": "2026-11-24T02:05:00.123456Z",
        "data": {
            "resource_id": "call-17",
            "completed_by": "idle_timeout",
            "total": None,
            "metadata": {},
            "partial": [{"index": 0, "output": "a"}, {"index": 8, "output": {}}],
            "missing": [[3, 7], [9, 9]],
            "unfinished": [[2, 2]],
            "failed": [{"index": 1, "reason": 'no such "word"', "attempts": 4}],
        },
    }


@pytest.mark.parametrize("ended_by", EndedBy)
def test_r17_completed_by_is_the_word_of_the_design(ended_by: EndedBy) -> None:
    said = json.loads(whole(msgspec.structs.replace(WHOLE, ended_by=ended_by), OUTPUTS))
    assert said["data"]["completed_by"] == ended_by.value


def test_nothing_at_all_is_still_a_body() -> None:
    closing = msgspec.structs.replace(WHOLE, state=State.INCOMPLETE, missing=[(0, 2)])
    assert json.loads(whole(closing, []))["data"]["partial"] == []


texts = st.text(st.characters(exclude_categories=["Cs"]))


@given(texts, texts, st.lists(st.recursive(st.none() | st.integers() | texts, st.lists), max_size=5))
def test_the_body_is_json_whatever_ids_reasons_and_outputs_are(name: str, reason: str, values: list[object]) -> None:
    outputs = [(place * 3, json.dumps(value).encode()) for place, value in enumerate(values)]
    closing = msgspec.structs.replace(
        WHOLE, resource_id=name, state=State.INCOMPLETE, failed=[PacketReport(9, reason, 1)]
    )
    data = json.loads(whole(closing, outputs))["data"]
    assert (data["resource_id"], data["failed"][0]["reason"]) == (name, reason)
    assert [item["output"] for item in data["partial"]] == values
    assert [item["index"] for item in data["partial"]] == [index for index, _ in outputs]
