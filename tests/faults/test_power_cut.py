"""P1 when the power goes: the disk has what was synced, and nothing else.

The service runs on a file system of its own in a file. It is killed, and the file is copied before it is unmounted:
what the kernel had not written yet is not in the copy. The service then starts on the copy. What was acknowledged and
is sent again has to be a duplicate there; whatever is taken as new was lost.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.harness.checker import complaints
from tests.harness.disk import ext4, mounted
from tests.harness.history import History, workload
from tests.harness.note import note
from tests.harness.sender import Sender, requests
from tests.harness.service import ServiceProcess
from tests.harness.sink import Sink
from tests.harness.store import store_complaints
from tests.wait import until

pytestmark = pytest.mark.faults

SEED = int(os.environ.get("TEST_SEED", "20261124"))
CUTS = 8
RECOVERY = 15.0
LARGE = 60_000
"""Bytes of a payload, so that the log of the store is written back into its database during the run."""


class Cut:
    """One power cut: the service before it, and the service on what is left."""

    def __init__(self, home: Path, random: Random, *, padding: int) -> None:
        self.home, self.random, self.history = home, random, History()
        self.secret = home / "secret"
        self.packets = workload(random, "a", resources=80, padding=padding)

    async def run(self, *, environment: dict[str, str] | None = None) -> list[str]:
        """Cut the power in the middle of the sending; what the checker says of it all, and of the store."""
        async with Sink(self.secret) as sink, Sender(self.history, self.random) as sender:
            copy = await self._until_the_cut(sink, sender, environment or {})
            acknowledged = len(self.history.acked)
            with mounted(copy, self.home / "after") as mount:
                async with ServiceProcess(self.home / "second", data_dir=mount / "data", webhook=sink.url) as service:
                    await self._after_the_cut(service, sink, sender)
                note(f"{acknowledged} acknowledged at the cut, {len(self.history.lost)} of them lost")
                broken = complaints(self.history, sink.webhooks, at_least=len(self.packets))
                return broken + store_complaints(service.data_dir)

    async def _until_the_cut(self, sink: Sink, sender: Sender, environment: dict[str, str]) -> Path:
        with ext4(self.home) as disk:
            async with ServiceProcess(self.home / "first", data_dir=disk.mount / "data", webhook=sink.url) as service:
                service.environment = environment
                await service.start()
                self.secret.write_bytes(service.secret.read_bytes())  # a receiver knows it: it has to survive
                wire = self.random.choice([self.history.acks, self.history.acks, sink.arrivals])
                wire.set(self.random.randint(1, 400 if wire is self.history.acks else 40), service.kill)
                await sender.send(service.url, requests(self.random, self.packets))
                await until(lambda: not service.running() or len(sink.ids()) == 80, RECOVERY)
                service.kill()
                return disk.after_power_cut(self.home)

    async def _after_the_cut(self, service: ServiceProcess, sink: Sink, sender: Sender) -> None:
        await service.start()
        old = [self.history.sent[key] for key in sorted(self.history.acked)]
        await sender.send(service.url, requests(self.random, old))
        await sender.send(service.url, requests(self.random, self.history.unacknowledged()))
        await until(lambda: len(sink.ids()) >= 80, RECOVERY)
        await service.stop()


@pytest.fixture
def cuts(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    (tmp_path / "disk").unlink(missing_ok=True)
    (tmp_path / "after-the-cut").unlink(missing_ok=True)


@pytest.mark.parametrize("number", range(CUTS))
async def test_p1_a_power_cut_loses_nothing_that_was_acknowledged(cuts: Path, number: int) -> None:
    note(f"TEST_SEED={SEED}, cut {number}")
    cut = Cut(cuts, Random(SEED + number), padding=LARGE if number % 2 else 0)
    assert await cut.run() == []
    assert cut.history.lost == set()


async def test_the_test_of_power_cuts_sees_what_a_weaker_store_loses(cuts: Path) -> None:
    """Without a sync at each commit the same test must fail, or it would prove nothing."""
    cut = Cut(cuts, Random(SEED), padding=0)
    broken = await cut.run(environment={"COLLATOR_UNSAFE_SYNCHRONOUS": "normal"})
    assert cut.history.lost
    assert [sentence for sentence in broken if sentence.startswith("I1")]
