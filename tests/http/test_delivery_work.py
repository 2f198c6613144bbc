"""The work of the delivery stage for one webhook, counted: none but to sign, send, judge and record it."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest
import standardwebhooks

from tests.http.stage import Stage
from tests.receiver import Receiver, reply

WEBHOOKS = 40


async def test_an_attempt_needs_no_task_and_no_look_at_the_secret_file(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks: list[str] = []
    looks: list[object] = []
    stat = os.stat

    def made(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:  # noqa: ANN401
        tasks.append(work.__qualname__)
        return asyncio.Task(work, loop=loop, **options)

    def looked(path: Any, *arguments: Any, **options: Any) -> os.stat_result:  # noqa: ANN401
        if str(path).endswith(".secret"):
            looks.append(path)
        return stat(path, *arguments, **options)

    async with Receiver(*[reply(200)]) as receiver:
        stage.endpoint(receiver.url, concurrency=1)  # one connection, made for the first
        async with stage.dispatcher(poll=3600.0) as dispatcher:
            await stage.finish("first", dispatcher=dispatcher)
            await stage.settled(1)
            asyncio.get_running_loop().set_task_factory(made)
            monkeypatch.setattr(os, "stat", looked)
            await stage.finish(*map(str, range(WEBHOOKS)))
            due = await stage.ledger.claim_deliveries("default", capacity=WEBHOOKS)
            tasks.clear()
            dispatcher.take(due, ())
            await stage.settled(1 + WEBHOOKS)
            asyncio.get_running_loop().set_task_factory(None)
    assert len(receiver.requests) == 1 + WEBHOOKS
    assert receiver.connections == 1
    assert sum(not name.startswith(("OutcomeRecorder.", "Receiver.")) for name in tasks) < 5
    assert len(looks) < WEBHOOKS / 2  # ten a second


async def test_an_endpoint_that_is_changed_is_used_as_it_is_from_the_next_attempt_on(stage: Stage) -> None:
    async with Receiver(reply(200)) as before, Receiver(reply(200)) as after:
        stage.endpoint(before.url)
        async with stage.dispatcher(poll=3600.0) as dispatcher:
            await stage.finish("first", dispatcher=dispatcher)
            await stage.settled(1)
            secret = stage.endpoint(after.url)
            await stage.finish("second", dispatcher=dispatcher)
            await stage.settled(2)
    assert (len(before.requests), len(after.requests)) == (1, 1)
    (request,) = after.requests
    assert f"http://{request.headers['host']}/hook" == after.url
    standardwebhooks.Webhook(secret).verify(request.body, dict(request.headers))
