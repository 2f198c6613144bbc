"""Sums of the counters of a service, of which rates are made."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

import msgspec
from prometheus_client import Counter


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What was counted since the start of the service, or between two moments."""

    accepted: int
    """Packets."""
    processed: int
    """Packets that have an output."""
    failed: int
    """Packets that failed for good."""
    ended: int
    """Resources that ended without a person's doing."""
    delivered: int
    """Deliveries."""
    attempts_failed: int
    """Attempts to deliver."""
    refused: Mapping[str, int]
    """Requests, by code of the problem; probes of the readiness aside."""

    def since(self, before: Totals) -> Totals:
        """Return the counts since *before*."""
        here, there = msgspec.structs.asdict(self), msgspec.structs.asdict(before)
        counts = {name: here[name] - there[name] for name in here if name != "refused"}
        refused = {code: number - before.refused.get(code, 0) for code, number in self.refused.items()}
        return Totals(**counts, refused=refused)


def sums_of(counter: Counter, label: str) -> Mapping[str, int]:
    """The values of *counter* by its *label*; by an empty text where it has none."""
    sums: dict[str, int] = {}
    for sample in chain.from_iterable(family.samples for family in counter.collect()):
        if sample.name.endswith("_total"):
            value = sample.labels.get(label, "")
            sums[value] = sums.get(value, 0) + int(sample.value)
    return sums
