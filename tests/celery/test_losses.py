"""What is lost, doubled, late or forged between a node and its Celery workers, and what that means for a packet.

The worker is the test. The node's time is moved by hand, as it waits for long.
"""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from collator.messages import Recorded
from collator.states import State
from collator.workers.celery.known_workers import BEAT, SILENCE
from collator.workers.celery.messages import JobEnded, JobRedelivered, NotBegun, WorkerState
from tests.celery.celery_node import CeleryNode
from tests.celery.scripted_worker import ScriptedWorker
from tests.wait import until
from tests.workers.node import PATIENCE, Store, payload
from tests.workers.terms import Terms

MANY = WorkerState("many", 1, 1, 4)
"""A worker that makes four calls at a time, for the packets of one job."""
TWO = WorkerState("two", 1, 2, 2)
"""A worker that has two jobs in hand at a time."""


@pytest.fixture
def node(url: str) -> CeleryNode:
    return CeleryNode(url)


async def test_the_packets_of_a_job_are_answered_one_by_one(
    store: Store, node: CeleryNode, worker: ScriptedWorker
) -> None:
    async with store.node(node) as at_work:
        await at_work.send("a", *[payload()] * 3)
        for _ in range(3):
            await worker.answer(await worker.job())
        assert (await at_work.ended("a")).state is State.COLLATED
        assert await at_work.outputs("a") == {0: 0, 1: 1, 2: 2}


async def test_p2_an_answer_that_comes_twice_counts_once(
    store: Store, node: CeleryNode, worker: ScriptedWorker
) -> None:
    async with store.node(node) as at_work:
        await at_work.send("a", payload(), payload())
        first = await worker.job()
        await worker.answer(first)
        await worker.answer(first)
        await worker.answer(await worker.job())
        assert (await at_work.ended("a")).done == 2
        assert at_work.ledger.statuses == [Recorded.RECORDED] * 2


async def test_what_cannot_be_read_and_what_nobody_asked_for_changes_nothing(
    store: Store, node: CeleryNode, worker: ScriptedWorker
) -> None:
    async with store.node(node) as at_work:
        await at_work.send("a", payload())
        job = await worker.job()
        for body in (b"", b"{", b"[]", b'["answers"]', b'["unheard_of", 1]', b"\xff"):
            await worker.say_bytes(body)
        await worker.say(JobEnded("unknown", "as it likes"))
        await worker.answer(job._replace(id="unknown"))
        await worker.answer(job, {7: NotBegun()})
        await worker.answer(job)
        assert (await at_work.ended("a")).done == 1


async def test_a_job_that_is_lost_is_sent_again_while_later_ones_are_answered(
    store: Store, node: CeleryNode, worker: ScriptedWorker
) -> None:
    async with store.node(node) as at_work:
        await at_work.send("a", payload(), payload())
        lost, second = await worker.job(), await worker.job()
        await worker.answer(second)
        await until(lambda: len(at_work.ledger.statuses) == 1, PATIENCE)
        await node.pass_time(SILENCE)
        await worker.beat()
        await until(lambda: len(at_work.ledger.statuses) == 2, PATIENCE)
        at_work.clock.advance(2.0)
        again = await worker.job()
        assert (again.indexes, again.attempts) == (lost.indexes, [1])
        await worker.answer(again)
        await worker.answer(lost)
        assert (await at_work.ended("a")).state is State.COLLATED
        assert at_work.ledger.statuses == [Recorded.RECORDED] * 3  # the loss is one of them


async def test_a_job_that_was_lost_with_the_only_worker_is_sent_to_the_next_one(
    store: Store, node: CeleryNode, worker: ScriptedWorker
) -> None:
    async with store.node(node) as at_work:
        await at_work.send("a", payload())
        await worker.job()  # and is never heard of again: no heartbeat has named it
        for _ in range(4):
            await node.pass_time(SILENCE / 2)  # nobody is there who might have it
        next_job = asyncio.create_task(worker.job(PATIENCE))
        while not next_job.done():
            await node.hears(worker.beat())
            await node.pass_time(BEAT)
        again = await next_job
        assert again.attempts == [1]
        await worker.answer(again)
        assert (await at_work.ended("a")).state is State.COLLATED


async def test_of_what_is_lost_with_workers_again_and_again_one_packet_at_a_time_is_tried_and_blamed(
    store: Store, node: CeleryNode, worker: ScriptedWorker
) -> None:
    worker.state = TWO
    async with store.node(node, Terms(retries=0)) as at_work:
        await at_work.send("a", payload(), payload())
        for generation in range(2):  # the first loss is held against nobody
            jobs = [await worker.job(), await worker.job()]
            assert [job.attempts for job in jobs] == [[1], [1]]
            await node.hears(worker.beat(*[job.id for job in jobs]))
            await node.pass_time(SILENCE + BEAT)
            await until(lambda: len(at_work.ledger.statuses) == 2 * (generation + 1), PATIENCE)  # noqa: B023
            worker.state = msgspec.structs.replace(TWO, name=f"two-{generation}")
        deadly = await worker.job()
        await node.hears(worker.beat(deadly.id))
        assert len(node.pool.buffer) == 1, "the other one is sent, too"
        await node.pass_time(SILENCE + BEAT)
        await until(lambda: len(at_work.ledger.statuses) == 5, PATIENCE)
        worker.state = msgspec.structs.replace(TWO, name="two-2")
        await worker.answer(await worker.job())
        report = await at_work.ended("a")
        (failure,) = report.failures
        assert failure.index == deadly.indexes[0]
        assert failure.reason == "the Celery worker that had it gave no sign of life"
        assert report.done == 1


async def test_a_job_that_is_in_hand_is_waited_for_however_long(
    store: Store, node: CeleryNode, worker: ScriptedWorker
) -> None:
    async with store.node(node) as at_work:
        await at_work.send("a", payload())
        job = await worker.job()
        for _ in range(4):
            await node.hears(worker.beat(job.id))
            await node.pass_time(0.8 * SILENCE)
        await worker.answer(job)
        assert (await at_work.ended("a")).state is State.COLLATED
        assert at_work.ledger.statuses == [Recorded.RECORDED]


async def test_a_job_that_kills_its_worker_ends_as_failed_and_takes_no_other_with_it(
    store: Store, node: CeleryNode, worker: ScriptedWorker
) -> None:
    worker.state = MANY
    async with store.node(node, Terms(retries=1)) as at_work:
        await at_work.send("a", *[payload()] * 4)
        job = await worker.job()
        assert job.indexes == [0, 1, 2, 3]
        await worker.say(JobEnded(job.id, "the process ended with exit code 7"))
        alone = []
        for _ in range(4):
            job = await worker.job()
            alone.append((job.indexes, job.attempts))
            if job.indexes == [2]:
                await worker.say(JobEnded(job.id, "the process ended with exit code 7"))
            else:
                await worker.answer(job)
        assert sorted(alone) == [([index], [1]) for index in range(4)]
        await until(lambda: len(at_work.ledger.statuses) == 8, PATIENCE)
        at_work.clock.advance(2.0)
        last = await worker.job()
        assert (last.indexes, last.attempts) == ([2], [2])
        await worker.say(JobEnded(last.id, "the process ended with exit code 7"))
        report = await at_work.ended("a")
        (failure,) = report.failures
        assert (failure.index, failure.attempts) == (2, 2)
        assert failure.reason == "the process ended with exit code 7"
        assert report.done == 3


async def test_packets_that_were_not_begun_are_sent_again_and_lose_no_attempt(
    store: Store, node: CeleryNode, worker: ScriptedWorker
) -> None:
    worker.state = MANY
    async with store.node(node) as at_work:
        await at_work.send("a", *[payload()] * 2)
        job = await worker.job()
        await worker.answer(job, {1: NotBegun()})
        again = await worker.job()
        assert (again.indexes, again.attempts) == ([1], [1])
        await worker.answer(again)
        await worker.answer(job)
        assert (await at_work.ended("a")).done == 2
        assert await at_work.outputs("a") == {0: 0, 1: 1}


async def test_a_job_that_comes_out_of_the_queue_twice_is_lost_unless_a_worker_has_it(
    store: Store, node: CeleryNode, worker: ScriptedWorker
) -> None:
    async with store.node(node) as at_work:
        await at_work.send("a", payload())
        job = await worker.job()
        await node.hears(worker.say(JobRedelivered(job.id)))
        await node.hears(worker.beat(job.id))
        await node.pass_time(3 * BEAT)
        await node.hears(worker.say(JobRedelivered(job.id)))
        await node.hears(worker.beat())
        assert at_work.ledger.statuses == []
        await node.pass_time(3 * BEAT)
        await until(lambda: len(at_work.ledger.statuses) == 1, PATIENCE)
        at_work.clock.advance(2.0)
        again = await worker.job()
        assert again.attempts == [1]
        await worker.answer(again)
        assert (await at_work.ended("a")).state is State.COLLATED


async def test_nothing_is_sent_where_no_worker_is_known_and_that_is_said(store: Store, node: CeleryNode) -> None:
    async with store.node(node) as at_work:
        await at_work.send("a", payload())
        assert at_work.workers.health() is None
        await until(lambda: at_work.workers.capacity() < 16, PATIENCE)  # it waits here
        await until(lambda: node.pool._discovery.since is not None, PATIENCE)
        node.clock.advance(SILENCE)
        words = str(at_work.workers.health())
        assert words.startswith("no Celery worker takes packets from redis://127.0.0.1:")
        await at_work.workers.drain(PATIENCE)
        assert await at_work.due() == [(0, 1)]
