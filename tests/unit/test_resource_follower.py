"""What a sender is told of its resources: where each stands, and when there is nothing left to wait for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from anyio.lowlevel import checkpoint

from collator.cli import resource_follower
from collator.cli.resource_follower import Follower, Progress, progress
from collator.client import Client, Tally, Unreachable
from collator.errors import Unknown
from tests.wait import until


def report(state: str, *deliveries: str, unfinished: tuple[Any, ...] = (), why: str | None = "why") -> dict[str, Any]:
    states = [{"state": state, "reason": "HTTP 500" if state == "due" else ""} for state in deliveries]
    counts = {"done": 1, "failed": 2, "failures": [{"index": 4, "reason": "no use"}], "completed_by": "last"}
    return {"state": state, "unfinished": unfinished, "deliveries": states, "why_undelivered": why, **counts}


@pytest.mark.parametrize(
    ("seen", "where"),
    [
        (report("open", unfinished=([0, 0],)), Progress.UNDER_WAY),
        (report("open"), Progress.STUCK),
        (report("collated", "due"), Progress.UNDER_WAY),
        (report("collated", "dead", "leased"), Progress.UNDER_WAY),
        (report("collated", "delivered", "delivered"), Progress.DELIVERED),
        (report("incomplete", "delivered"), Progress.DELIVERED),
        (report("collated", "delivered", "dead"), Progress.LOST),
        (report("collated"), Progress.DELIVERED),
        (report("cancelled"), Progress.LOST),
    ],
)
def test_where_a_resource_stands_is_read_from_its_report(seen: dict[str, Any], where: Progress) -> None:
    assert progress(seen) is where


class Scripted(Client):
    """A client whose service answers each resource from a script; its last answer goes on for ever."""

    def __init__(self, **script: list[Any]) -> None:
        super().__init__("http://127.0.0.1:1")
        self.script = script
        self.asked: list[str] = []
        self.at_once = self.most_at_once = 0

    async def resource(self, resource_id: str | int) -> Any:  # noqa: ANN401 - as scripted
        assert isinstance(resource_id, str)
        self.asked.append(resource_id)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await checkpoint()
        self.at_once -= 1
        answers = self.script[resource_id]
        answer: dict[str, Any] | Exception = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource_follower, "PAUSE", 0.0)


async def follow(client: Scripted, *, patience: float | None = 60.0) -> Follower:
    follower = Follower(client, Tally(resources=dict.fromkeys(client.script)), patience=patience)
    follower.sending_ended.set()
    await follower.run()
    return follower


async def test_every_resource_is_followed_to_its_end() -> None:
    working, due, delivered = (
        report("open", unfinished=([0, 0],)),
        report("collated", "due"),
        report("collated", "delivered"),
    )
    follower = await follow(Scripted(a=[working, due, delivered], b=[report("incomplete", "delivered")]))
    assert (follower.delivered, [*follower.incomplete], follower.undelivered) == (2, ["b"], {})
    assert follower.incomplete["b"] == "2 packets failed, packet 4: no use"
    assert follower.processed == 6


async def test_what_will_not_be_delivered_is_told_with_its_reason() -> None:
    follower = await follow(
        Scripted(
            dead=[report("collated", "dead", why="given up")],
            stuck=[report("open", why="never received: index 1")],
            gone=[Unknown()],
        )
    )
    assert follower.delivered == 0
    assert follower.undelivered == {
        "dead": "given up",
        "stuck": "never received: index 1",
        "gone": "the service does not know it any more",
    }


async def test_a_resource_that_lacks_packets_is_waited_for_while_packets_are_sent() -> None:
    client = Scripted(a=[report("open")])
    follower = Follower(client, Tally(resources={"a": None}), patience=None)
    task = asyncio.create_task(follower.run())
    await until(lambda: len(client.asked) > 3)
    assert not task.done()
    client.script["a"] = [report("collated", "delivered")]
    follower.sending_ended.set()
    await task
    assert (follower.delivered, follower.undelivered) == (1, {})


async def test_a_service_that_is_away_for_a_moment_is_asked_again() -> None:
    follower = await follow(Scripted(a=[Unreachable("away"), Unreachable(), report("collated", "delivered")]))
    assert (follower.delivered, follower.trouble) == (1, "")


async def test_a_service_that_stays_away_ends_it() -> None:
    with pytest.raises(Unreachable):
        await follow(Scripted(a=[Unreachable()]), patience=-1.0)


async def test_a_receiver_that_fails_ends_it_once_nothing_else_moves() -> None:
    working = report("open", unfinished=([0, 0],))
    delivered = report("collated", "delivered")
    client = Scripted(due=[report("collated", "due", why="HTTP 500")], slow=[working] * 9 + [delivered])
    follower = await follow(client, patience=0.0)
    assert (follower.delivered, follower.given_up, follower.undelivered) == (1, 1, {"due": "HTTP 500"})
    assert client.asked.count("due") >= 10  # while packets were processed, it was waited for


async def test_a_delivery_that_fails_is_told_while_packets_are_sent() -> None:
    client = Scripted(a=[report("collated", "due", why="HTTP 500")], b=[report("open", why="never received")])
    follower = Follower(client, Tally(resources=dict.fromkeys(client.script)), patience=0.0)
    task = asyncio.create_task(follower.run())
    await until(lambda: client.asked.count("a") > 3)
    assert follower.undelivered == {"a": "HTTP 500"}
    assert not task.done()
    task.cancel()


async def test_no_more_than_a_round_is_asked_for_at_a_time() -> None:
    client = Scripted(**{f"r{number}": [report("collated", "delivered")] for number in range(40)})
    follower = await follow(client)
    assert follower.delivered == 40
    assert client.most_at_once == resource_follower.ROUND


def test_what_closed_early_without_failures_says_how() -> None:
    seen = {**report("incomplete", "delivered"), "failures": [], "completed_by": "idle_timeout"}
    assert resource_follower.why_incomplete(seen) == "closed by idle_timeout, with 1 of its packets processed"
