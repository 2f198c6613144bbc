"""P1 to P4 when the process dies at an exact system call: a sync, a write to the store, a write to a socket.

One data directory goes through a sample of such deaths, the first of them while it is made; each time the service is
started again at once, and the sender goes on.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from random import Random

import pytest

from tests.harness.checker import complaints, innocents
from tests.harness.history import History, workload
from tests.harness.note import note
from tests.harness.sender import Sender, requests
from tests.harness.service import START, ServiceProcess
from tests.harness.sink import Sink
from tests.harness.store import store_complaints
from tests.harness.trace import under_fault
from tests.wait import until

pytestmark = pytest.mark.faults

SEED = int(os.environ.get("TEST_SEED", "20261124"))
RESOURCES = 8
MOST = 50
RECOVERY = 15.0
DEATHS = {
    "fdatasync": (1, 4, 9, 14, 3, 5, 8, 13, 21),
    "pwrite64": (1, 30, 60, 20, 40, 80, 120, 140, 180, 240),
    "write": (3, 14, 20, 27, 40),
}
"""For each call the numbers at which the process dies. A start of a store that is there makes fewer calls than one
that makes it."""


@pytest.mark.parametrize("call", DEATHS)
async def test_p1_a_death_at_any_system_call_loses_nothing(tmp_path: Path, call: str) -> None:
    random, history = Random(SEED), History()
    async with ServiceProcess(tmp_path) as service, Sink(service.secret) as sink, Sender(history, random) as sender:
        service.settings["webhook"] = sink.url
        for number in DEATHS[call]:
            service.spawn(under=under_fault(call, "signal=SIGKILL", str(number)))
            await until(lambda: service.find_url() or not service.running(), START)
            await _send_until_dead(service, sender, sink, history, random)
            assert service.code() == -signal.SIGKILL
            note(f"{call} {number}: {len(history.acked)} acknowledged, {len(sink.webhooks)} webhooks")
        await service.start()
        await sender.send(service.url, requests(random, history.unacknowledged()))
        await until(lambda: _delivered(history, sink), RECOVERY)
        await service.stop()
    assert complaints(history, sink.webhooks, at_least=100) == []
    assert store_complaints(service.data_dir) == []
    assert innocents(sink.webhooks) <= len(DEATHS[call]) // 2


async def _send_until_dead(
    service: ServiceProcess, sender: Sender, sink: Sink, history: History, random: Random
) -> None:
    """Send, a few resources at a time, and let them be delivered, until the service has made its last call."""
    for number in range(MOST):
        if not service.running():
            return
        fresh = workload(random, f"{service.starts}-{number}", resources=RESOURCES)
        await sender.send(service.url, requests(random, [*history.unacknowledged(), *fresh]))
        await until(lambda: not service.running() or _delivered(history, sink), RECOVERY)


def _delivered(history: History, sink: Sink) -> bool:
    return not history.unacknowledged() and len(sink.ids()) >= len({resource_id for resource_id, _ in history.sent})
