"""The client without an event loop: the same client, and nothing waits for a source that is slow."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio.from_thread
import pytest

from collator.client import Rejected, SyncClient, Tally, Unreachable, handover, transfer
from collator.errors import CollatorError, Unknown
from collator.service import open_service
from collator.settings import from_keywords
from tests.wait import until_sync


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(transfer, "LONGEST_PAUSE", 0.002)


@contextmanager
def serving(data_dir: Path) -> Iterator[str]:
    """A service on a thread of its own."""
    settings = from_keywords({"data_dir": data_dir, "webhook": "none", "port": 0})
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(open_service(settings)) as service,
    ):
        yield service.url


def packet(index: int, *, last: bool = False) -> dict[str, Any]:
    return {"resource_id": "r", "index": index, "payload": "x" * index, "last": last}


def test_the_verbs_return_when_they_are_done(tmp_path: Path) -> None:
    with serving(tmp_path) as url, SyncClient(url) as client:
        tally = client.send(packet(index, last=index == 4) for index in range(5))
        assert (tally.acknowledged, client.result("r", timeout=10)["outputs"]) == (5, [[], [1], [2], [3], [4]])
        with pytest.raises(Unknown, match="nobody"):
            client.resource("nobody")
        with pytest.raises(Rejected, match="closed"):
            client.send([packet(5)])


def test_a_packet_is_acknowledged_before_the_next_is_there(tmp_path: Path) -> None:
    tally, reader = Tally(), []

    def live() -> Iterator[dict[str, Any]]:
        reader.append(threading.current_thread())
        for index in range(3):
            yield packet(index)
            until_sync(partial(acknowledged, index + 1))

    def acknowledged(count: int) -> bool:
        return tally.acknowledged == count

    with serving(tmp_path) as url, SyncClient(url) as client:
        client.send(live(), tally=tally)
    assert (tally.acknowledged, reader) == (3, [threading.current_thread()])


def test_an_asynchronous_source_is_read_too(tmp_path: Path) -> None:
    async def live() -> Any:  # noqa: ANN401 - an asynchronous generator
        for index in range(3):
            yield packet(index)

    with serving(tmp_path) as url, SyncClient(url) as client:
        assert client.send(live()).acknowledged == 3


def test_a_source_that_fails_ends_it_with_its_own_error(tmp_path: Path) -> None:
    def broken() -> Iterator[dict[str, Any]]:
        yield packet(0)
        raise LookupError("source")

    with serving(tmp_path) as url, SyncClient(url) as client:
        with pytest.raises(LookupError, match="source"):
            client.send(broken())
        assert client.status()["ready"]  # and it can go on


def test_an_endless_source_is_left_once_nobody_is_there_to_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "AHEAD", 10)

    def endless() -> Iterator[dict[str, Any]]:
        while True:
            yield packet(0)

    with SyncClient("http://127.0.0.1:1", patience=0, batch=2) as client, pytest.raises(Unreachable, match="refused"):
        client.send(endless())


@pytest.mark.anyio
async def test_a_program_that_has_a_loop_already_can_use_it(tmp_path: Path) -> None:
    settings = from_keywords({"data_dir": tmp_path, "webhook": "none", "port": 0})

    def ask(url: str) -> bool:
        with SyncClient(url) as client:
            return bool(client.status()["ready"])

    async with open_service(settings) as service:
        assert await anyio.to_thread.run_sync(ask, service.url)
    with SyncClient("http://127.0.0.1:1") as client, pytest.raises(Unreachable):
        client.status()


def test_nothing_is_left_running() -> None:
    def running() -> int:
        return sum(thread.name == "collator-client" for thread in threading.enumerate())

    with SyncClient("http://127.0.0.1:1"):
        assert running() == 1
    assert running() == 0


def test_the_cells_of_a_notebook_share_a_client(tmp_path: Path) -> None:
    with serving(tmp_path) as url:
        client = SyncClient(url, token="secret").open()
        assert repr(client) == f"<SyncClient {url} open>"
        assert client.open() is client  # the cell is run again
        assert client.send([packet(0, last=True)]).acknowledged == 1
        assert client.result("r", timeout=10)["outputs"] == [[]]
        client.close()
        client.close()
        assert repr(client) == f"<SyncClient {url} closed>"
        with client:
            assert client.status()["ready"]
    assert not [thread for thread in threading.enumerate() if thread.name == "collator-client"]


def test_a_script_that_never_closes_its_client_ends_without_a_word(tmp_path: Path) -> None:
    script = "import sys, collator; print(collator.SyncClient(sys.argv[1]).open().status()['ready'])"
    with serving(tmp_path) as url:
        done = subprocess.run(
            [sys.executable, "-c", script, url], capture_output=True, text=True, check=True, timeout=60
        )
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_a_client_outside_of_its_context_says_so() -> None:
    client = SyncClient("http://127.0.0.1:1")
    for _ in range(2):
        with pytest.raises(CollatorError, match="the SyncClient is not open: use it within `with`"):
            client.status()
        with pytest.raises(CollatorError, match="not open"):
            client.send([packet(0)])
        with client:
            pass
