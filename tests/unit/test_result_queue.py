"""Results on their way back from a pool: each is collected once, and so are their bytes."""

from __future__ import annotations

from collator.messages import Failure, Lease, Output, Result
from collator.workers.result_queue import Collected, ResultQueue


def test_each_collection_has_what_came_since_the_last_and_its_size() -> None:
    told: list[None] = []
    result_queue = ResultQueue(lambda: told.append(None))
    for text in (b"12345", b"1"):
        results: list[Result] = [Output(Lease(1, 1), text), Failure(Lease(1, 2), "no")]
        result_queue.add(results[:1], 0.5)
        result_queue.add(results[1:])
        assert result_queue.collect() == Collected(results, len(text), [0.5])
    assert result_queue.collect() == Collected([], 0, [])
    assert len(told) == 2
    assert len(result_queue.unrecorded) == 6
