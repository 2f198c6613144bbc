"""Who waits behind a group for which the server takes too long."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("asyncpg")

from collator.errors import Unavailable
from collator.ledgers.batching.answers import Answers
from collator.ledgers.batching.calls import Verb
from collator.ledgers.postgresql import writer as writers
from collator.ledgers.postgresql.writer import Writer
from tests.wait import until

VERB: Verb[Any, Any] = Verb(lambda *_: pytest.fail("there is no connection"))


async def test_who_waits_behind_a_group_whose_connection_is_lost_after_long_waits_for_no_further_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writers, "STALLED", 0.0)
    attempts: asyncio.Queue[asyncio.Future[Any]] = asyncio.Queue()

    async def connect() -> Any:  # noqa: ANN401 - there never is a connection
        attempts.put_nowait(attempt := asyncio.get_running_loop().create_future())
        return await attempt

    writer = Writer(
        1,
        connect=connect,
        begin=lambda _: pytest.fail("there is no connection"),
        answers=Answers(),
        touched=lambda _: None,
        orphaned=lambda *_: None,
    )
    first = asyncio.create_task(writer.call(VERB, None))
    attempt = await attempts.get()
    behind = [asyncio.create_task(writer.call(VERB, None)) for _ in range(2)]
    await until(lambda: len(writer._groups.waiting) == len(behind))
    attempt.set_exception(Unavailable("the server has gone"))
    for call in (first, *behind):
        with pytest.raises(Unavailable):
            await asyncio.wait_for(call, 5)
    assert attempts.empty()
    await writer.stop()
