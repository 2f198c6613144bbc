"""The checker of a chaos run is not blind: it complains of every promise that is broken, and of nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from collator.cli.chaos.checker import Checker

SENT = ["a bb", "ccc", "d"]
OUTPUTS = [[1, 2], [3], [1]]
FAILED = {"index": 1, "reason": "the process died 3 times while this packet was processed", "attempts": 3}


def seen(*bodies: tuple[str, dict[str, Any]], taken: bool = True) -> Checker:
    """A checker of a resource of three packets, and of these webhooks."""
    checker = Checker()
    for index, payload in enumerate(SENT):
        checker.sends({"resource_id": "r", "index": index, "payload": payload})
    for webhook_id, data in bodies:
        checker.sees(webhook_id, json.dumps({"data": {"resource_id": "r", **data}}).encode(), taken=taken)
    return checker


def test_a_whole_resource_is_well_however_often_it_comes() -> None:
    checker = seen(("m", {"outputs": OUTPUTS}), ("m", {"outputs": OUTPUTS}))
    assert (checker.complaints, checker.undelivered, checker.repeats) == ([], [], 1)


def test_a_packet_that_was_in_work_at_too_many_deaths_is_unlucky_and_not_lost() -> None:
    partial = [{"index": index, "output": OUTPUTS[index]} for index in (0, 2)]
    checker = seen(("m", {"partial": partial, "failed": [FAILED]}))
    assert (checker.complaints, checker.undelivered, checker.unlucky) == ([], [], 1)


def test_what_was_not_taken_is_not_delivered() -> None:
    assert seen(("m", {"outputs": OUTPUTS}), taken=False).undelivered == ["r"]


@pytest.mark.parametrize(
    ("webhooks", "words"),
    [
        ([("m", {"outputs": OUTPUTS[:2]})], "2 outputs and 0 failures, 3 packets were acknowledged"),
        ([("m", {"outputs": [OUTPUTS[1], OUTPUTS[0], OUTPUTS[2]]})], "index 0 has not its own output"),
        ([("m", {"partial": [], "failed": [FAILED]})], "0 outputs and 1 failures"),
        ([("m", {"partial": [{"index": 2, "output": [1]}, {"index": 0, "output": [1, 2]}], "failed": [FAILED]})],
         "not in order"),
        ([("m", {"partial": [], "failed": [FAILED | {"reason": "KeyError"}]})], "index 1 failed: KeyError"),
        ([("m", {"outputs": OUTPUTS}), ("n", {"outputs": OUTPUTS})], "under two ids"),
        ([("m", {"outputs": OUTPUTS}), ("m", {"outputs": OUTPUTS, "more": 1})], "with two bodies"),
        ([("m", {"resource_id": "x", "outputs": OUTPUTS})], "x: it has 3 outputs and 0 failures, 0 packets"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(webhooks: list[tuple[str, dict[str, Any]]], words: str) -> None:
    assert any(words in complaint for complaint in seen(*webhooks).complaints)
