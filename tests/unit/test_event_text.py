"""The text of server-sent events, read back as browsers read it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collator.errors import Malformed
from collator.messages import OutcomePage, OutcomeReport
from collator.states import EndedBy, State
from collator.web.event_text import Order, Place, event, page_of, reset_of
from tests.harness.event_stream import Event, EventReader

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def page(*outcomes: OutcomeReport, state: State = State.OPEN, more: bool = False) -> OutcomePage:
    ended_by = None if state is State.OPEN else EndedBy.LAST
    return OutcomePage(webhook_id="msg_a", state=state, completed_by=ended_by, total=None, outcomes=outcomes, more=more)


def read(text: bytes, *, piece: int = 1_000_000) -> list[Event]:
    reader = EventReader()
    return [one for at in range(0, len(text), piece) for one in reader.feed(text[at : at + piece])]


@given(
    values=st.lists(VALUES, max_size=5),
    indent=st.none() | st.just(2),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    piece=st.integers(1, 50),
)
def test_outputs_are_read_as_they_were_whatever_lines_they_have(
    values: list[Any], indent: int | None, line_end: str, piece: int
) -> None:
    texts = [json.dumps(value, indent=indent, ensure_ascii=False) for value in values]
    outputs = [text.replace("\n", line_end).encode() for text in texts]
    outcomes = [OutcomeReport(seq, seq + 6, output) for seq, output in enumerate(outputs, 1)]
    found = page_of("r\n1", Order.SEQ, Place(0), page(*outcomes))
    assert read(found.text, piece=piece) == [
        Event("output", {"resource_id": "r\n1", "seq": seq, "index": seq + 6, "output": value}, str(seq))
        for seq, value in enumerate(values, 1)
    ]
    assert found.place == Place(len(values))


def test_a_failure_has_its_reason_and_the_end_comes_once() -> None:
    failed = OutcomeReport(1, 4, None, "no such\nword", 3)
    found = page_of("r", Order.SEQ, Place(0), page(failed, state=State.INCOMPLETE))
    assert [(event.kind, event.data, event.id) for event in read(found.text)] == [
        ("failed", {"resource_id": "r", "seq": 1, "index": 4, "reason": "no such\nword", "attempts": 3}, "1"),
        (
            "end",
            {
                "resource_id": "r",
                "state": "incomplete",
                "completed_by": "last",
                "total": None,
                "webhook_id": "msg_a",
            },
            "1.end",
        ),
    ]
    assert found.place == Place.of(b"1.end", Order.SEQ, None) == Place(1, ended=True)
    again = page_of("r", Order.SEQ, found.place, page(state=State.INCOMPLETE))
    assert (again.text, again.place) == (b"", found.place)


def test_the_end_comes_behind_the_last_page_alone() -> None:
    assert not page_of(
        "r", Order.SEQ, Place(0), page(OutcomeReport(1, 0, b"1"), state=State.COLLATED, more=True)
    ).place.ended


@given(indexes=st.sets(st.integers(0, 30)), after=st.integers(-1, 20), more=st.booleans())
def test_in_the_order_of_indexes_there_is_no_gap_until_the_end(indexes: set[int], after: int, more: bool) -> None:
    behind = sorted(index for index in indexes if index > after)
    outcomes = [OutcomeReport(7, index, b"0") for index in behind]
    found = page_of("r", Order.INDEX, Place(after), page(*outcomes, more=more))
    prefix = [index for number, index in enumerate(behind, after + 1) if index == number]
    assert [event.data["index"] for event in read(found.text)] == prefix
    assert found.place == Place(prefix[-1] if prefix else after)
    assert found.more == (more and prefix == behind)
    ended = page_of("r", Order.INDEX, Place(after), page(*outcomes, state=State.COLLATED))
    assert [event.data.get("index") for event in read(ended.text)] == [*behind, None]
    last = behind[-1] if behind else after
    assert Place.of(read(ended.text)[-1].id.encode(), Order.INDEX, None) == Place(max(last, 0), ended=True)


def test_a_reset_takes_the_place_from_who_comes_again() -> None:
    (told,) = read(event(*reset_of("r", "opened again")))
    assert told == Event("reset", {"resource_id": "r", "detail": "opened again"}, "")


@pytest.mark.parametrize("said", [b"x", b"-1", b"1.", b"end", b"1.end.end", b"9" * 17, b"1 ", b"\xd9\xa1"])
def test_an_id_that_no_event_has_is_told(said: bytes) -> None:
    with pytest.raises(Malformed, match="Last-Event-ID"):
        Place.of(said, Order.SEQ, None)


def test_the_id_counts_more_than_what_the_query_says() -> None:
    assert Place.of(b"7", Order.SEQ, 3) == Place(7)
    assert Place.of(b"", Order.SEQ, 3) == Place.of(None, Order.SEQ, 3) == Place(3)
    assert Place.of(None, Order.INDEX, None) == Place(-1)
