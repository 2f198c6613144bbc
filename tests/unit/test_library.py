"""The engine within a program: the promises hold without a port, and the program's own errors stay its own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from collator import Client, Collator, Rejected, SyncClient, Unreachable, Webhook, backoff
from collator.client import Verbs
from collator.errors import CollatorError, ConfigError, Conflict, Ended, Occupied, Unknown
from collator.janitor import Janitor
from collator.testing import Receiver
from tests.acceptance.programs import environment
from tests.wait import until

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed is due again at once."""
    monkeypatch.setattr(backoff, "SCHEDULE", (0.0,) * 12)
    monkeypatch.setattr("collator.delivery.dispatcher.POLL", 0.02)


def upper(payload: str) -> str:
    return payload.upper()


def packets(resource_id: str, *payloads: Any, last: bool = True) -> list[dict[str, Any]]:  # noqa: ANN401 - any JSON
    found = [{"resource_id": resource_id, "index": index, "payload": text} for index, text in enumerate(payloads)]
    return [*found[:-1], found[-1] | {"last": last}]


@asynccontextmanager
async def collating(data_dir: Path, **options: Any) -> AsyncIterator[Collator]:  # noqa: ANN401 - those of the library
    async with Collator(data_dir, **{"processor": upper, **options}) as collator:
        yield collator


async def test_packets_go_in_and_the_result_comes_out(tmp_path: Path) -> None:
    async with collating(tmp_path) as collator:
        tally = await collator.send(packets("a", "x", "y"))
        result = await collator.result("a", timeout=5)
        assert (tally.acknowledged, result["outputs"]) == (2, ["X", "Y"])
        assert (await collator.resources(prefix="a"))["resources"][0]["state"] == "collated"


async def test_a_coroutine_function_is_a_processor_too_on_a_loop_of_its_own(tmp_path: Path) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def double(payload: int) -> int:
        loops.append(asyncio.get_running_loop())
        return 2 * payload

    async with collating(tmp_path, processor=double) as collator:
        await collator.send(packets("a", 1, 2))
        assert (await collator.result("a", timeout=5))["outputs"] == [2, 4]
    assert asyncio.get_running_loop() not in loops


async def test_a_processor_may_take_a_batch(tmp_path: Path) -> None:
    sizes: list[int] = []

    def uppers(payloads: list[str]) -> list[str]:
        sizes.append(len(payloads))
        return [payload.upper() for payload in payloads]

    async with collating(tmp_path, processor=uppers, processor_batch=3) as collator:
        await collator.send(packets("a", *"abcdefghij"))
        assert (await collator.result("a", timeout=5))["outputs"] == [*"ABCDEFGHIJ"]
    assert (sum(sizes), max(sizes) <= 3) == (10, True)


async def test_what_ends_early_has_a_result_too(tmp_path: Path) -> None:
    async with collating(tmp_path) as collator:
        await collator.send([packets("a", "x", "y", "z")[2]])
        with pytest.raises(TimeoutError, match=r"resource 'a' has not ended within 0\.\d+ s"):
            await collator.result("a", timeout=0.05)
        await collator.complete("a", force=True)
        result = await collator.result("a", timeout=5)
        assert {name: result[name] for name in ("partial", "missing", "completed_by")} == {
            "partial": [{"index": 2, "output": "Z"}],
            "missing": [[0, 1]],
            "completed_by": "forced",
        }
        await collator.send(packets("b", "x", last=False))
        await collator.cancel("b")
        with pytest.raises(Ended, match="was cancelled"):
            await collator.result("b")
        with pytest.raises(Unknown):
            await collator.result("nobody")


async def test_p4_what_is_finished_comes_to_the_coroutine_until_it_returns_under_one_id(tmp_path: Path) -> None:
    webhooks: list[Webhook] = []

    async def on_finished(webhook: Webhook) -> None:
        webhooks.append(webhook)
        if len(webhooks) == 1:
            raise LookupError("not today")

    async with collating(tmp_path, on_finished=on_finished) as collator:
        await collator.send(packets("a", "x"))
        await until(lambda: len(webhooks) == 2)
        await until_delivered(collator, "a")
        (delivery,) = (await collator.resource("a"))["deliveries"]
    assert webhooks[0] == webhooks[1]
    assert webhooks[0].id.startswith("msg_")
    assert (webhooks[0].type, webhooks[0].data["outputs"]) == ("resource.collated", ["X"])
    assert (delivery["attempts"], delivery["reason"]) == (2, "on_finished returned")


async def test_p4_what_an_earlier_program_could_not_deliver_comes_to_the_next(tmp_path: Path) -> None:
    tried = asyncio.Event()

    async def broken(_webhook: Webhook) -> None:
        tried.set()
        raise LookupError("never")

    async with collating(tmp_path, on_finished=broken) as collator:
        await collator.send(packets("a", "x"))
        await tried.wait()
    found: list[str] = []

    async def sound(webhook: Webhook) -> None:
        found.append(webhook.data["resource_id"])

    async with collating(tmp_path, on_finished=sound):
        await until(lambda: found)
    assert found == ["a"]


async def test_a_coroutine_that_takes_too_long_is_ended_and_tried_again(tmp_path: Path) -> None:
    calls: list[int] = []

    async def slow(_webhook: Webhook) -> None:
        calls.append(1)
        if len(calls) == 1:
            await asyncio.Event().wait()

    async with collating(tmp_path, on_finished=slow, delivery_timeout=0.05) as collator:
        await collator.send(packets("a", "x"))
        await until(lambda: len(calls) == 2)


async def test_a_coroutine_that_waits_for_what_was_cancelled_has_failed_and_is_tried_again(tmp_path: Path) -> None:
    calls: list[str] = []

    async def fussy(webhook: Webhook) -> None:
        calls.append(webhook.id)
        if len(calls) == 1:
            other = asyncio.create_task(asyncio.Event().wait())
            other.cancel()
            await other

    async with collating(tmp_path, on_finished=fussy) as collator:
        await collator.send(packets("a", "x"))
        await until(lambda: len(calls) == 2)


async def test_p7_a_coroutine_that_does_not_let_itself_be_ended_does_not_hold_up_the_end(tmp_path: Path) -> None:
    begun, free = asyncio.Event(), asyncio.Event()

    async def deaf(_webhook: Webhook) -> None:
        begun.set()
        while not free.is_set():
            with suppress(asyncio.CancelledError):
                await free.wait()

    async def program() -> None:
        async with collating(tmp_path, on_finished=deaf, drain_timeout=0.1) as collator:
            await collator.send(packets("a", "x"))
            await begun.wait()

    running = asyncio.create_task(program())
    ended, _ = await asyncio.wait({running}, timeout=8)
    free.set()
    await running
    assert ended


async def test_webhooks_go_out_signed_as_those_of_a_service(tmp_path: Path) -> None:
    async with Receiver() as receiver, collating(tmp_path, webhook=receiver.url) as collator:
        await collator.send(packets("a", "x"))
        (received,) = await receiver.wait(1)
    assert json.loads(received.body)["data"]["outputs"] == ["X"]
    assert received.headers["webhook-signature"].startswith("v1,")
    assert (tmp_path / "webhook.secret").exists()


async def test_what_contradicts_is_raised_when_all_else_is_stored(tmp_path: Path) -> None:
    async with collating(tmp_path) as collator:
        with pytest.raises(Rejected, match="1 packet rejected, 2 acknowledged"):
            await collator.send([*packets("a", "x", "y"), packets("a", "other")[0]])
        with pytest.raises(Conflict):
            await collator.complete("a", total=9)


async def test_p5_what_the_limits_refuse_is_sent_again_and_given_up_in_the_end(tmp_path: Path) -> None:
    async with collating(tmp_path, max_open=1, patience=0) as collator:
        await collator.send(packets("a", "x", last=False))
        with pytest.raises(Unreachable, match="refused: "):
            await collator.send(packets("b", "x"))


async def test_an_error_of_the_program_is_its_own_and_what_was_taken_goes_on(tmp_path: Path) -> None:
    async def program() -> None:
        async with collating(tmp_path) as collator:
            await collator.send(packets("a", "x"))
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        await program()
    async with collating(tmp_path) as collator:
        assert (await collator.result("a", timeout=5))["outputs"] == ["X"]


async def test_a_program_that_is_cancelled_leaves_a_store_in_order(tmp_path: Path) -> None:
    started = asyncio.Event()

    async def program() -> None:
        async with collating(tmp_path) as collator:
            await collator.send(packets("a", "x"))
            started.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(program())
    await started.wait()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    async with collating(tmp_path) as collator:
        assert (await collator.result("a", timeout=5))["outputs"] == ["X"]


async def test_an_engine_that_breaks_ends_the_program_instead_of_standing_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_janitor: Janitor) -> None:
        raise AssertionError("a defect")

    monkeypatch.setattr(Janitor, "run", broken)
    with pytest.raises(BaseExceptionGroup) as caught:
        async with collating(tmp_path):
            await asyncio.Event().wait()
    assert [str(error) for error in caught.value.exceptions] == ["a defect"]


async def test_a_directory_has_one_engine_at_a_time_and_a_closed_one_says_so(tmp_path: Path) -> None:
    async with collating(tmp_path) as collator:
        with pytest.raises(Occupied):
            async with collating(tmp_path):
                pass
    with pytest.raises(CollatorError, match="Collator is not open: use it within `async with`"):
        await collator.resource("a")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prot": 1}, "'prot' is not a setting; did you mean port"),
        ({"concurrency": 0}, "settings: concurrency: 0 is not between 1"),
        ({"idle_timeout": "soon"}, "settings: idle_timeout: 'soon' is not a duration"),
        ({"on_finished": upper}, "on_finished: expected a coroutine function"),
        ({"webhook": "nowhere"}, "settings: webhook: 'nowhere' is not a valid URL"),
        ({"endpoints": {"a": {}}}, "endpoints.a: url is missing"),
    ],
)
def test_a_wrong_setting_is_told_before_anything_is_opened(tmp_path: Path, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Collator(tmp_path / "data", **{"processor": upper, **options})
    assert words in caught.value.detail
    assert not (tmp_path / "data").exists()


def test_settings_are_given_in_units_or_as_they_are_written(tmp_path: Path) -> None:
    endpoints = {"archive": {"url": "http://127.0.0.1:1/", "timeout": 3, "match": "a-*"}}
    options: dict[str, Any] = {"idle_timeout": None, "retention": "2h", "max_payload": 4096, "endpoints": endpoints}
    settings = Collator(tmp_path, processor="json:dumps", deadline=90, **options).settings
    assert (settings.idle_timeout, settings.retention, settings.deadline) == (None, 7200.0, 90.0)
    assert (settings.processor, settings.max_payload, settings.data_dir) == ("json:dumps", 4096, tmp_path)
    assert [(one.name, one.timeout, one.match) for one in settings.endpoints] == [("archive", 3.0, "a-*")]


def test_every_verb_is_there_for_programs_of_every_kind() -> None:
    verbs = {name for name in dir(Verbs) if not name.startswith("_")}
    assert {"send", "result", "resources", "complete"} <= verbs
    for kind in (Client, Collator, SyncClient):
        assert [name for name in verbs if not hasattr(kind, name)] == [], kind
    for name in verbs - {"send"}:
        assert getattr(SyncClient, name).__doc__ == getattr(Verbs, name).__doc__


PROGRAM = """
import asyncio, os, signal, sys
from collator import Collator

def lengths(payload):
    return len(payload)

async def main():
    async with Collator("data", processor=lengths, concurrency=1) as collator:
        await collator.send({"resource_id": "a", "index": index, "payload": "x" * index} for index in range(50))
        if sys.argv[1] == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        await collator.complete("a", total=50)
        result = await collator.result("a", timeout=20)
        assert result["outputs"] == list(range(50))
    assert "uvicorn" not in sys.modules

asyncio.run(main())
"""


def test_p1_what_was_acknowledged_survives_the_death_of_the_program_and_nothing_is_printed(tmp_path: Path) -> None:
    def run(how: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, how],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    assert run("die").returncode == -9
    done = run("live")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


async def until_delivered(collator: Collator, resource_id: str) -> None:
    """Wait until nothing of it is due."""
    async with asyncio.timeout(5):
        while (await collator.resource(resource_id))["why_undelivered"]:
            pass
