"""Packets from a seed: random numbers of packets a resource, in random order, with random pauses. Pure.

The same numbers give the same packets with the same pauses, in the same order, on every machine. Ids carry the seed, so
that runs do not meet; the same run again sends only duplicates.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

WORDS = (
    "the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "while", "seven", "curious", "ravens", "watch",
    "from", "their", "tower", "and", "nobody", "hears", "what", "they", "say", "until", "morning", "comes", "again",
)  # fmt: skip
SENTENCE = (1, 12)
"""Words of a payload, least and most."""


class PlannedPacket(NamedTuple):
    """One packet, and how long to wait before it."""

    pause: float
    """Seconds."""
    packet: dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """A run of random packets."""

    seed: int
    resources: int
    packets: tuple[int, int] = (1, 50)
    """Packets of a resource, least and most."""
    pause: tuple[float, float] = (0.0, 0.0)
    """Seconds before a packet, least and most."""
    at_once: int = 50
    """How many resources are under way at any time."""

    def sizes(self) -> dict[str, int]:
        """The number of packets of each resource."""
        chance = self._chance("sizes")
        width = len(str(self.resources))
        names = (f"run-{self.seed}-{number:0{width}}" for number in range(1, self.resources + 1))
        return {name: chance.randint(*self.packets) for name in names}

    def steps(self) -> Iterator[PlannedPacket]:
        """Every packet, in the order in which they are sent."""
        chance, pauses = self._chance("order"), self._chance("pauses")
        waiting = self._shuffled()
        under_way = list(islice(waiting, self.at_once))
        while under_way:
            place = chance.randrange(len(under_way))
            yield PlannedPacket(pauses.uniform(*self.pause), under_way[place].pop())
            if not under_way[place]:
                under_way[place : place + 1] = islice(waiting, 1)

    def _shuffled(self) -> Iterator[list[dict[str, Any]]]:
        """The packets of each resource in random order; made resource by resource, so that memory is bounded."""
        words, order = self._chance("words"), self._chance("shuffles")
        for name, size in self.sizes().items():
            payloads = (" ".join(words.choices(WORDS, k=words.randint(*SENTENCE))) for _ in range(size))
            packets = [{"resource_id": name, "index": index, "payload": text} for index, text in enumerate(payloads)]
            packets[-1]["last"] = True
            order.shuffle(packets)
            yield packets

    def _chance(self, purpose: str) -> random.Random:
        return random.Random(f"{self.seed} {purpose}")  # noqa: S311 - repeatable, and no secret
