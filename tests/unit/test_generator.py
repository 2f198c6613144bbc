"""Processors that are async generators: the last that one yields is its output, and who looks is shown the others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from collator.errors import ConfigError
from collator.interim import MOST, InterimOutputs
from collator.messages import Failure, Key, Lease, Output, Result, Task
from collator.processor import Coroutine, OutcomeFactory, Partial, open_processor
from tests.unit.test_subprocess import child, job, replies_of

ENDED = "the generator was closed"


def task(index: int = 0, payload: bytes = b"null", resource_id: str = "r") -> Task:
    return Task(Key(resource_id, b"g" * 16, index), payload, 1, Lease(1, index))


async def call(processor: Coroutine, given: Task) -> Result:
    async with processor.calls() as attempt:
        results = await attempt([given])
    assert isinstance(results, list)
    return results[0]


def yielding(*values: object) -> Callable[[object], AsyncGenerator[Any, None]]:
    async def stream(_payload: object) -> AsyncGenerator[Any, None]:
        for value in values:
            yield value

    return stream


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ([7], b"7"),
        ([Partial("a"), Partial("ab"), "abc"], b'"abc"'),
        ([Partial(object()), None], b"null"),  # what cannot be shown takes nothing from the output
        ([Partial("x" * MOST), "x"], b'"x"'),
        ([], "yielded no output"),
        ([Partial("a")], "yielded no output"),
        ([1, 2], "yielded more behind its output"),
        ([1, Partial(2)], "yielded more behind its output"),
    ],
)
async def test_the_last_that_a_generator_yields_is_its_output_and_all_before_it_are_partial(
    values: list[object], found: bytes | str
) -> None:
    processor = open_processor(yielding(*values), OutcomeFactory(retries=0))
    assert isinstance(processor, Coroutine)
    with processor.interim.follow("r", bool):
        result = await call(processor, task())
    if isinstance(found, bytes):
        assert isinstance(result, Output)
        assert result.output == found
    else:
        assert isinstance(result, Failure)
        assert found in result.reason


async def test_interim_outputs_are_shown_to_those_who_look_and_are_gone_with_the_call() -> None:
    shown: list[Any] = []

    async def stream(payload: int) -> AsyncGenerator[Any, None]:
        for number in range(payload):
            yield Partial([number])
            shown.append([(one.index, one.attempt, one.output) for one in processor.interim.latest("r", after=0)])
        yield payload

    processor = Coroutine(stream)
    assert isinstance(await call(processor, task(4, b"1")), Output)
    hints: list[None] = []
    with processor.interim.follow("r", lambda: hints.append(None)):
        assert isinstance(await call(processor, task(4, b"2")), Output)
        assert processor.interim.latest("r", after=0) == []
    assert shown == [[], [(4, 1, b"[0]")], [(4, 1, b"[1]")]]
    assert len(hints) == 2


async def test_a_generator_that_raises_or_is_cancelled_is_closed_and_shows_nothing_more() -> None:
    ended: list[str] = []
    waits = asyncio.Event()

    async def stream(payload: str) -> AsyncGenerator[Any, None]:
        try:
            yield Partial("begun")
            if payload == "raise":
                raise ValueError("no sound in it")
            waits.set()
            await asyncio.Event().wait()
        finally:
            ended.append(ENDED)

    processor = Coroutine(stream, OutcomeFactory(retries=0))
    with processor.interim.follow("r", bool):
        failed = await call(processor, task(0, b'"raise"'))
        assert isinstance(failed, Failure)
        assert "ValueError: no sound in it" in failed.reason
        calling = asyncio.create_task(call(processor, task(1, b'"wait"')))
        await waits.wait()
        assert [one.index for one in processor.interim.latest("r", after=0)] == [1]
        calling.cancel()
        await asyncio.wait([calling])
        assert processor.interim.latest("r", after=0) == []
    assert ended == [ENDED] * 2


async def test_a_context_is_given_to_a_generator_as_to_any_function() -> None:
    async def stream(_payload: object, context: Any) -> AsyncGenerator[Any, None]:  # noqa: ANN401 - a Context
        yield [context.resource_id, context.index]

    result = await call(Coroutine(stream), task(3))
    assert isinstance(result, Output)
    assert result.output == b'["r",3]'


def test_a_generator_gives_one_output_and_takes_no_batch() -> None:
    with pytest.raises(ConfigError, match="batch: 2 does not work with a generator"):
        open_processor(yielding(1), batch=2)


def test_a_generator_in_a_process_of_its_own_shows_nothing_and_gives_its_output() -> None:
    with child("tests.harness.processors:spelling") as it:
        it.send([job("ab")])
        (reply,) = replies_of(it, 1)
    assert b'"ab"' in str(reply).encode()


def test_the_latest_of_each_packet_is_kept_for_as_long_as_somebody_follows() -> None:
    outputs = InterimOutputs()
    with outputs.follow("r", bool), outputs.follow("r", bool):
        for number in range(6):
            outputs.show(task(number % 2), b"%d" % number)
        outputs.show(task(resource_id="other"), b"0")
        latest = outputs.latest("r", after=0)
        assert [(one.index, one.output) for one in latest] == [(0, b"4"), (1, b"5")]
        assert outputs.latest("r", after=latest[0].number) == latest[1:]
        outputs.end(task(1))
        assert [one.index for one in outputs.latest("r", after=0)] == [0]
    assert not outputs.wanted("r")
    assert outputs.latest("r", after=0) == []


def test_threads_show_while_others_come_and_go() -> None:
    outputs = InterimOutputs()
    numbers: list[int] = []

    def show() -> None:
        for number in range(500):
            outputs.show(task(number % 7), b"%d" % number)
            outputs.end(task(number % 7))

    threads = [threading.Thread(target=show) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        with outputs.follow("r", bool):
            numbers += [one.number for one in outputs.latest("r", after=max(numbers, default=0))]
    assert numbers == sorted({*numbers})
    assert not outputs.wanted("r")
