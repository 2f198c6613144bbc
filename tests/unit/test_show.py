"""A resource, as a person reads it."""

from __future__ import annotations

from typing import Any

from collator.cli.packet import describe as describe_packet
from collator.cli.phrases import ranges
from collator.cli.resources import MAX_FAILURES, describe
from collator.text import counted

OPEN: dict[str, Any] = {
    "resource_id": "call-17",
    "webhook_id": "msg_abc",
    "state": "open",
    "completed_by": None,
    "total": None,
    "metadata": {},
    "received": 3,
    "done": 1,
    "failed": 1,
    "missing": [[0, 0]],
    "unfinished": [[2, 2]],
    "failures": [{"index": 3, "reason": "ValueError: no", "attempts": 4}],
    "opened_at": "2026-11-24T02:05:00.000000Z",
    "closed_at": None,
    "deliveries": [],
    "why_undelivered": "processing: no outcome yet for index 2",
}
CLOSED: dict[str, Any] = OPEN | {
    "state": "incomplete",
    "completed_by": "idle_timeout",
    "total": 4,
    "metadata": {"lang": "en"},
    "unfinished": [],
    "closed_at": "2026-11-24T03:05:00.000000Z",
    "deliveries": [{"endpoint": "default", "state": "due", "attempts": 1, "reason": "HTTP 503"}],
    "why_undelivered": "endpoint default: next attempt in 5 s",
}


def test_an_open_resource() -> None:
    assert list(describe(OPEN)) == [
        "call-17  open",
        "  packets     3 of an unknown number received, 1 processed, 1 failed",
        "  missing     0",
        "  unfinished  2",
        "  failed      3: ValueError: no (4 attempts)",
        "  opened      2026-11-24T02:05:00.000000Z",
        "  id          msg_abc",
        "  not delivered yet: processing: no outcome yet for index 2",
    ]


PACKET: dict[str, Any] = {
    "resource_id": "call-17",
    "index": 3,
    "state": "waiting",
    "attempts": 2,
    "reason": "ValueError: no",
    "due_in": 3.7,
    "seq": None,
    "payload_size": 2048,
    "payload": {"text": "hello"},
}


def test_a_packet_that_is_tried_again() -> None:
    assert list(describe_packet(PACKET)) == [
        "call-17 3  waiting",
        "  attempts    2 attempts, the last: ValueError: no",
        "  next        in 4 s",
        '  payload     {"text":"hello"}',
    ]


def test_a_packet_without_a_payload_and_with_an_output() -> None:
    done = {"state": "done", "attempts": 0, "reason": "", "due_in": None, "output": [1]}
    hidden = {name: value for name, value in PACKET.items() if name != "payload"} | done
    assert list(describe_packet(hidden)) == ["call-17 3  done", "  payload     2.0 KiB, hidden", "  output      [1]"]
    assert next(describe_packet(hidden | {"state": None})).endswith("  without an outcome: its resource has ended")


def test_what_is_much_is_counted() -> None:
    delivery = {"endpoint": "default", "state": "due", "attempts": 1, "reason": "HTTP 503"}
    much = {"missing": [[i * 2, i * 2] for i in range(1000)], "missing_more": 199_000, "unfinished_more": 1}
    lines = list(describe(OPEN | much | {"deliveries": [delivery], "deliveries_more": 1100}))
    assert lines[2].startswith("  missing     0, 2, 4, ")
    assert lines[2].endswith(", 198, and 199900 others")
    assert len(lines[2]) < 600
    assert lines[3] == "  unfinished  2, and 1 other"
    assert "  webhook     and 1100 others" in lines
    assert "  unfinished  and 7 others" in list(describe(OPEN | {"unfinished": [], "unfinished_more": 7}))


def test_a_closed_one() -> None:
    lines = list(describe(CLOSED))
    assert lines[0] == "call-17  incomplete (idle_timeout)"
    assert '  metadata    {"lang":"en"}' in lines
    assert "  webhook     default: due, 1 attempt, the last: HTTP 503" in lines
    assert lines[-1] == "  not delivered yet: endpoint default: next attempt in 5 s"


def test_a_delivered_one_says_nothing_of_why_not() -> None:
    assert "not delivered" not in "\n".join(describe(CLOSED | {"why_undelivered": None}))


def test_many_failures_are_counted_and_not_listed() -> None:
    many = [{"index": n, "reason": "no", "attempts": 1} for n in range(50)]
    lines = [line for line in describe(OPEN | {"failures": many, "failed": 120}) if "  failed  " in line]
    assert len(lines) == MAX_FAILURES + 1
    assert lines[-1] == "  failed      and 110 others"


def test_ranges_are_written_as_people_write_them() -> None:
    assert ranges([[3, 7], [9, 9]]) == "3-7, 9"


def test_one_is_no_plural() -> None:
    assert [counted(number, "packet") for number in range(3)] == ["0 packets", "1 packet", "2 packets"]
