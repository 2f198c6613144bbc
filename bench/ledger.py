"""CPU time of the ledger on SQLite, by verb: `python -m bench.ledger`.

One thread takes the steps of the writer, as many calls in a commit as come together under load, so that nothing but the
ledger is measured. Another checkout: the same with its `src` as PYTHONPATH. Only figures of alternating runs compare.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import msgspec

from bench import job
from collator.janitor import PURGED
from collator.ledgers.sqlite import steps
from collator.ledgers.sqlite.startup import open_store
from collator.ledgers.sqlite.store import Store
from collator.messages import Attempt, Batch, Delivery, Output, Run, tasks_of
from collator.packet import Packet
from collator.rules.resource import LedgerLimits
from collator.service import GC_THRESHOLD
from collator.states import DeliveryState
from collator.testing import ManualClock

RETENTION = 60.0
CAPACITY = {"default": 4096}
OUTPUT = b"[3,5,5,3,5,4,3,4,3]"
COMMIT, PURGE = "commit", "purge"


class Load(NamedTuple):
    """Packets, and how they come."""

    resources: int
    packets: int
    at_once: int
    """Resources under way at a time."""
    call: int
    """Packets in a call."""
    calls: int = 2
    """Calls in a commit."""
    capacity: int = 4096
    """Packets that a call may be handed out; those of 0 wait, and are claimed in the next commit."""


LOADS = {
    "stream": Load(2_000, 20, at_once=50, call=512),
    "posts": Load(1_000, 20, at_once=50, call=1, calls=30),
    "wide": Load(3_000, 20, at_once=3_000, call=512),
    "one": Load(10_000, 1, at_once=50, call=512),
    "long": Load(1, 100_000, at_once=1, call=512),
    "claimed": Load(2_000, 20, at_once=50, call=512, capacity=0),
}


class LedgerRun:
    """A run of one load: everything is accepted, recorded, delivered and deleted."""

    def __init__(self, directory: Path) -> None:
        self._clock = ManualClock()
        limits = LedgerLimits(retention=RETENTION)
        self._store = open_store(
            directory,
            lambda: Store(
                directory / "collator.db", ledger_limits=limits, clock=self._clock, route=lambda _: ["default"]
            ),
        )
        self.spent: dict[str, float] = {}
        """Seconds of CPU time, by verb."""

    def measure(self, calls: Sequence[Sequence[tuple[Any, int]]]) -> None:
        """Take the *calls* of each commit, and what comes of those before."""
        runs, deliveries = list[Run](), list[Delivery]()
        for commit in [*calls, (), (), ()]:
            with self._commit():
                claimed = self._step("claim", [(4096,)])[0] if self._store.ready else ()
                accepted = self._step("accept", commit) if commit else ()
                recorded = self._step("record", _results(runs)) if runs else ()
                if deliveries:
                    self._settle(deliveries)
            runs = [*claimed, *(run for answer in accepted for run in answer.runs)]
            deliveries = [delivery for answer in recorded for delivery in answer.deliveries]
        with self._commit():
            self._settle(self._step("claim deliveries", [("default", 4096, True, False)])[0])
        self._clock.advance(2 * RETENTION)
        while self._purge():
            pass
        assert self._store.counts.collated == 0
        self._store.connection.close()

    def _settle(self, deliveries: Sequence[Delivery]) -> None:
        self._step("settle", [[Attempt(delivery, DeliveryState.DELIVERED, seconds=0.001) for delivery in deliveries]])

    def _purge(self) -> bool:
        """Purge as the janitor does, commits with it; whether there is more."""
        with self._timed(PURGE), self._store.transaction():
            verb: Any = steps.PURGE
            return bool(verb.step(self._store, [(PURGED, None)])[0].more)

    def _step(self, name: str, calls: Sequence[Any]) -> Any:  # noqa: ANN401
        verb: Any = _VERBS[name]
        with self._timed(name):
            return verb.step(self._store, calls)

    @contextmanager
    def _commit(self) -> Iterator[None]:
        before = sum(self.spent.values())
        began = time.thread_time()
        with self._store.transaction():
            yield
        steps_took = sum(self.spent.values()) - before
        self.spent[COMMIT] = self.spent.get(COMMIT, 0.0) + time.thread_time() - began - steps_took

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        began = time.thread_time()
        yield
        self.spent[name] = self.spent.get(name, 0.0) + time.thread_time() - began


_VERBS = {
    "accept": steps.ACCEPT,
    "claim": steps.CLAIM,
    "record": steps.RECORD,
    "settle": steps.SETTLE,
    "claim deliveries": steps.CLAIM_DELIVERIES,
}


def _results(runs: Sequence[Run]) -> list[tuple[list[Output], dict[str, int]]]:
    """What workers give for *runs*, of which each in turn has one packet processed."""
    in_turn = zip_longest(*[tasks_of([run]) for run in runs])
    outputs = [Output(task.lease, OUTPUT) for turn in in_turn for task in turn if task is not None]
    return [(outputs[start : start + 256], CAPACITY) for start in range(0, len(outputs), 256)]


def measure(load: Load, seed: int) -> dict[str, float]:
    """The CPU time of one run of *load* in microseconds a packet, by verb."""
    lines = job.load(seed, load.resources, load.packets, at_once=load.at_once).packets
    packets = [msgspec.json.decode(line, type=Packet) for line in lines]
    calls = [
        [(Batch(packets[start : start + load.call]).groups, load.capacity) for start in range(first, last, load.call)]
        for first in range(0, len(packets), load.call * load.calls)
        for last in [min(first + load.call * load.calls, len(packets))]
    ]
    with TemporaryDirectory(prefix="collator-bench-", dir=Path()) as name:
        run = LedgerRun(Path(name))
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD)  # as the service does
        run.measure(calls)
    return {verb: seconds / len(packets) * 1e6 for verb, seconds in run.spent.items()}


def main() -> None:
    """Measure what the arguments say, and print it."""
    parser = argparse.ArgumentParser("python -m bench.ledger", description=str(__doc__).partition("\n")[0])
    parser.add_argument("--only", choices=[*LOADS], action="append", help="this load; may be given again [all]")
    parser.add_argument("--runs", type=int, choices=range(1, 100), default=3, help="of each load; the best counts [3]")
    given = parser.parse_args()
    for name in given.only or LOADS:
        best = min((measure(LOADS[name], seed) for seed in range(given.runs)), key=lambda run: sum(run.values()))
        words = [
            f"{verb} {best.get(verb, 0.0):6.2f}" for verb in ("accept", "claim", "record", "settle", COMMIT, PURGE)
        ]
        print(f"{name:7}", *words, f"all {sum(best.values()):6.2f} us a packet", sep="  ", flush=True)


if __name__ == "__main__":
    main()
