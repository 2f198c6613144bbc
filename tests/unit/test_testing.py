"""What Collator offers to the tests of others: the clock and the recording receiver."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import urlsplit

import aiohttp
import pytest

from collator.clock import Clock
from collator.signing import generate_secret, parse_secrets, sign
from collator.testing import ManualClock, Receiver


async def post(url: str, body: bytes, **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=named) as response:
        return response.status


def test_the_clock_moves_only_by_hand() -> None:
    clock: Clock = ManualClock(wall=100.0, monotonic=5.0)
    assert (clock.wall(), clock.monotonic()) == (clock.wall(), clock.monotonic()) == (100.0, 5.0)


def test_time_passes_on_both_readings_and_a_jump_moves_the_wall_alone() -> None:
    clock = ManualClock(wall=100.0, monotonic=5.0)
    clock.advance(2.5)
    clock.jump_wall(-50.0)
    assert (clock.wall(), clock.monotonic()) == (52.5, 7.5)
    with pytest.raises(ValueError, match="time cannot go back"):
        clock.advance(-1)


async def test_a_request_that_does_not_end_does_not_hold_up_the_end_of_the_receiver() -> None:
    async with asyncio.timeout(10):
        async with Receiver() as receiver:
            reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(receiver.url).port)
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n")
            assert b"100 Continue" in await reader.readline()
    writer.close()


async def test_the_receiver_records_what_it_gets_and_answers_by_its_script() -> None:
    async with Receiver(answers=[503, 410]) as receiver:
        answers = [await post(receiver.url, body, webhook_id=f"msg_{n}") for n, body in enumerate([b"a", b"b", b"c"])]
        received = await receiver.wait(3)
    assert answers == [503, 410, 204]
    assert [(one.webhook_id, one.body) for one in received] == [("msg_0", b"a"), ("msg_1", b"b"), ("msg_2", b"c")]


async def test_waiting_ends_with_what_came_or_with_a_deadline() -> None:
    async with Receiver() as receiver:
        waiting = asyncio.create_task(receiver.wait(1))
        await post(receiver.url + "any/path", b"a")
        assert len(await waiting) == 1
        with pytest.raises(TimeoutError, match=r"1 of 2 webhooks arrived within 0\.01 s"):
            await receiver.wait(2, timeout=0.01)


async def test_a_receiver_with_secrets_refuses_what_they_did_not_sign() -> None:
    secrets, others = parse_secrets(generate_secret()), parse_secrets(generate_secret())
    now = int(time.time())
    async with Receiver(secrets=secrets) as receiver:
        for signers, status in ((secrets, 204), (others, 401)):
            signature = sign(signers, "msg_1", now, b"body")
            headers = {"webhook_id": "msg_1", "webhook_timestamp": str(now), "webhook_signature": signature}
            assert await post(receiver.url, b"body", **headers) == status
        assert await post(receiver.url, b"body") == 401
    assert len(receiver.received) == 1
