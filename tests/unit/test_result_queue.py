"""Results on their way back from a pool: each is collected once, and so are their bytes."""

from __future__ import annotations

from collator.messages import AnyResult, Failure, Lease, Output, RunOutputs
from collator.workers.result_queue import Collected, ResultQueue


def test_each_collection_has_what_came_since_the_last_and_its_size() -> None:
    told: list[None] = []
    result_queue = ResultQueue(lambda: told.append(None))
    for text in (b"12345", b"1"):
        results: list[AnyResult] = [Output(Lease(1, 1), text), Failure(Lease(1, 2), "no")]
        result_queue.add(results[:1], 0.5)
        result_queue.add(results[1:])
        assert result_queue.packets == 2
        assert result_queue.collect() == Collected(results, len(text), [0.5])
    result_queue.add([RunOutputs(Lease(1, 3), [b"1", b"234"])])
    assert (result_queue.packets, result_queue.collect().size, result_queue.packets) == (2, 4, 0)
    assert result_queue.collect() == Collected([], 0, [])
    assert len(told) == 3
    assert len(result_queue.unrecorded) == 10
