"""The user's code forks, and what a fork may not do: answer, hold what is the service's, go on where it was called.

P3 and R30: an output is on the packet that it was made from, whatever the processor does.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

from collator.messages import Output
from tests.harness.forks import FORKS
from tests.requirements import need
from tests.unit.test_pools import PATIENCE, crew, values
from tests.wait import until

KINDS = {
    "thread": {"spec": "tests.harness.forks:plain"},
    "process": {"spec": "tests.harness.forks:plain", "pool": "process"},
    "coroutine": {"spec": "tests.harness.forks:coroutine"},
}
BATCHES = {
    "thread": {"spec": "tests.harness.forks:batch", "batch": 5},
    "process": {"spec": "tests.harness.forks:batch", "pool": "process", "batch": 5},
}
ABANDON = {"spec": "tests.harness.forks:abandon", "pool": "process"}
EVERY = [(kind, how) for kind in KINDS for how in FORKS if kind == "process" or how != "unseen"]
"""A copy that Python knows nothing of may hang at once, and only a process of the pool ends with all that it forked."""
TIMES = 4
COUNT = 5 * TIMES

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks"),
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),  # said of every fork with threads since 3.12
]


def payloads(calls: Path, *ways: str) -> list[dict[str, object]]:
    """Some payloads; every fifth call forks, each in the next of *ways*."""
    return [
        {"value": number, "calls": str(calls), **({"how": ways[number // 5]} if number % 5 == 2 else {})}
        for number in range(5 * len(ways))
    ]


@pytest.mark.parametrize(("kind", "how"), EVERY)
async def test_p3_every_output_is_on_its_own_packet_when_the_function_forks(
    tmp_path: Path, kind: str, how: str
) -> None:
    calls = tmp_path / "calls"
    async with crew(kind, **KINDS[kind]) as it:
        it.pool.chunk_size = 50
        leases = it.put(*payloads(calls, *[how] * TIMES))
        assert values(await it.ended(leases)) == [*range(COUNT)]
        assert Counter(calls.read_text().split()) == {str(number): 1 for number in range(COUNT)}


@pytest.mark.parametrize("kind", BATCHES)
async def test_p3_every_output_of_a_batch_is_on_its_own_packet_when_the_function_forks(
    tmp_path: Path, kind: str
) -> None:
    calls, ways = tmp_path / "calls", [how for other, how in EVERY if other == kind]
    async with crew(kind, **BATCHES[kind]) as it:
        leases = it.put(*payloads(calls, *ways))
        assert values(await it.ended(leases)) == [*range(5 * len(ways))]
        assert Counter(calls.read_text().split()) == {str(number): 1 for number in range(5 * len(ways))}


async def test_p3_who_writes_into_the_pipe_is_killed_and_the_others_have_their_own_outputs(tmp_path: Path) -> None:
    async with crew("process", **KINDS["process"]) as it:
        it.pool.chunk_size = 50
        leases = it.put(*payloads(tmp_path / "calls", *["shout"] * TIMES))
        found = values(await it.ended(leases))
    bad = [reason for reason in found if isinstance(reason, str)]
    assert bad == ["The function wrote into a pipe that was not its own."] * len(bad)
    assert len(bad) == len(range(2, COUNT, 5))
    assert [value for value in found if isinstance(value, int)] == [n for n in range(COUNT) if n % 5 != 2]


@pytest.mark.parametrize("how", ["seen", "unseen"])
async def test_r30_the_end_of_a_process_is_seen_while_a_helper_of_it_lives_on(tmp_path: Path, how: str) -> None:
    need(sys.platform == "linux", "Linux, where a process can fork without Python's knowing of it")
    helper = tmp_path / "helper"
    async with crew("process", **ABANDON, concurrency=1, timeout=600.0) as it:
        (lease,) = it.put([how, str(helper)])
        assert values(await it.ended([lease])) == ["the process ended with signal 6 (Aborted)"]
        await until(lambda: it.pool.in_hand() == 0 and it.look(), PATIENCE)
        (lease,) = it.put([how, str(tmp_path / "another")])
        assert not isinstance((await it.ended([lease]))[0], Output)  # by a new process: no place is lost
    for path in (helper, tmp_path / "another"):
        os.kill(int(path.read_text()), signal.SIGKILL)  # which shows that it was there all the time
