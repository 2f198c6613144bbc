"""The end of a request: what an error leaves behind."""

import gc
import weakref
from collections.abc import Iterator

import pytest

from collator.errors import Malformed
from collator.metrics import Metrics
from collator.web.buffer_memory import BufferMemory
from collator.web.loop_turns import LoopTurns
from collator.web.problems import HttpProblem, ProblemType
from collator.web.refusals import Refusals
from collator.web.request_body import RequestBody, or_problem


class Body(bytearray):
    """A body that can be watched."""


@pytest.fixture(autouse=True)
def without_collector() -> Iterator[None]:
    """A service collects cycles seldom, so that what stands in one stays for long."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize(
    "error", [HttpProblem(ProblemType.BUSY, "busy"), Malformed("not JSON"), ValueError("a defect")]
)
async def test_p5_what_a_refused_request_held_goes_with_it(error: Exception) -> None:
    kept: list[weakref.ref[Body]] = []

    async def refused() -> None:
        body = Body(1000)
        kept.append(weakref.ref(body))
        raise type(error)(*error.args) if not isinstance(error, HttpProblem) else HttpProblem(error.kind, error.detail)

    scope = {"type": "http", "method": "POST", "headers": [], "raw_path": b"/", "client": ("127.0.0.1", 1)}
    answer = await or_problem(
        refused(), RequestBody(scope, _nothing, BufferMemory(1), LoopTurns()), Refusals(Metrics())
    )
    assert answer is not None
    assert answer.status >= 400
    assert kept[0]() is None


async def _nothing() -> dict[str, object]:
    return {}
