"""Following a resource: each outcome once, as it is recorded, whatever becomes of the service meanwhile (R26)."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from collator import Client, Collator, Permanent, SyncClient, Unreachable
from collator.client import poll
from collator.client.poll import poll_outcomes
from collator.client.replies import OutcomeReply
from collator.errors import CollatorError, Conflict, Unknown
from collator.service import open_service
from collator.settings import from_keywords
from tests.unit.test_sync_client import serving
from tests.wait import until

pytestmark = pytest.mark.anyio
Page = dict[str, Any]


def packet(index: int, payload: object = "x", *, last: bool = False) -> dict[str, Any]:
    return {"resource_id": "r", "index": index, "payload": payload, "last": last}


def page(*seqs: int, after: int, more: bool = True) -> Page:
    outputs = [{"seq": seq, "index": seq, "output": seq} for seq in seqs]
    return {"outputs": outputs, "after_seq": seqs[-1] if seqs else after, "webhook_id": "msg_a", "more": more}


class FakeService:
    """Answers each look with the next step of a script."""

    def __init__(self, *script: Page | Exception) -> None:
        self.script = [*script]
        self.asked: list[tuple[int, str | None]] = []

    async def look(self, after_seq: int, webhook_id: str | None) -> Page:
        self.asked.append((after_seq, webhook_id))
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step


async def seqs(look: Callable[[int, str | None], Awaitable[Page]], *, patience: float | None = 60.0) -> list[int]:
    return [outcome["seq"] async for outcome in poll_outcomes(look, after_seq=0, patience=patience)]


async def test_pages_are_followed_to_the_end_of_the_resource() -> None:
    service = FakeService(page(1, 2, after=0), page(after=2), page(3, after=2), page(after=3, more=False))
    assert await seqs(service.look) == [1, 2, 3]
    assert service.asked == [(0, None), (2, "msg_a"), (2, "msg_a"), (3, "msg_a")]


async def test_a_service_that_does_not_answer_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poll, "SOONEST", 0.0001)
    service = FakeService(Unreachable("away"), page(1, after=0), Unreachable("away"), page(2, after=1, more=False))
    assert await seqs(service.look) == [1, 2]
    assert service.asked == [(0, None), (0, None), (1, "msg_a"), (1, "msg_a")]


async def test_patience_ends_where_nothing_answers() -> None:
    service = FakeService(page(1, after=0), Unreachable("away"))
    with pytest.raises(Unreachable, match="away"):
        await seqs(service.look, patience=0)


@pytest.mark.parametrize("error", [Conflict("opened anew"), Unknown("purged")])
async def test_what_the_service_says_of_the_resource_is_raised(error: CollatorError) -> None:
    service = FakeService(page(1, after=0), error)
    with pytest.raises(type(error)):
        await seqs(service.look)


async def test_outcomes_are_followed_as_they_come_in_any_order(tmp_path: Path) -> None:
    slow = asyncio.Event()

    async def process(payload: str) -> str:
        if payload == "slow":
            await asyncio.to_thread(finish.wait)
        if payload == "bad":
            raise Permanent("no such word")
        return payload

    finish = threading.Event()
    async with Collator(tmp_path, processor=process) as collator:
        found: list[OutcomeReply] = []

        async def follow() -> None:
            async for outcome in collator.follow("r"):
                found.append(outcome)
                slow.set()

        await collator.send([packet(0, "slow")])
        following = asyncio.create_task(follow())
        await collator.send([packet(2)])
        await slow.wait()
        await collator.send([packet(1, "bad")])
        await until(lambda: len(found) == 2)
        finish.set()
        await collator.complete("r", total=3)
        await asyncio.wait_for(following, 10)
        assert [(one["seq"], one["index"]) for one in found] == [(1, 2), (2, 1), (3, 0)]
        assert found[1] == {"seq": 2, "index": 1, "failed": {"reason": "no such word", "attempts": 1}}
        assert [one["seq"] async for one in collator.follow("r", after_seq=2)] == [3]


async def test_r10_what_has_no_packets_is_followed_to_its_end(tmp_path: Path) -> None:
    async with Collator(tmp_path, processor=str.upper) as collator:
        with pytest.raises(Unknown):
            await anext(collator.follow("r"))
        assert (await collator.complete("r", total=0))["state"] == "collated"
        assert [one async for one in collator.follow("r")] == []
        assert (await collator.result("r"))["outputs"] == []


async def test_p7_a_follower_does_not_hold_up_a_stop(tmp_path: Path) -> None:
    settings = from_keywords({"data_dir": tmp_path, "webhook": "none", "port": 0, "drain_timeout": 60})
    async with open_service(settings) as service, Client(service.url, patience=0) as client:
        ledger: Any = service.ledger
        await client.send([packet(0)])
        follower = client.follow("r")
        assert (await anext(follower))["index"] == 0
        waits = asyncio.ensure_future(anext(follower))
        await until(lambda: ledger._store.hints._waiting)
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 10
    with pytest.raises((Unreachable, CollatorError)):
        await waits


def test_programs_without_an_event_loop_follow_too(tmp_path: Path) -> None:
    with serving(tmp_path) as url, SyncClient(url) as client:
        client.send([packet(0), packet(1)])
        follower = client.follow("r")
        first = next(follower)
        client.send([packet(2, last=True)])
        found = [first, *follower]
        assert [one["seq"] for one in found] == [1, 2, 3]
        assert sorted(one["index"] for one in found) == [0, 1, 2]
        for outcome in client.follow("r"):  # one that is left early
            assert outcome["seq"] == 1
            break
        assert client.status()["ready"]
        with pytest.raises(Unknown):
            next(client.follow("nobody"))
