"""What a sender did and what it was told: kept by the test, out of reach of every fault.

The checker compares it with what the receiver got. A packet whose answer never came is *unknown*: it may be there or
not, and both are right until it is sent again.
"""

from __future__ import annotations

import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

Key = tuple[str, int]
"""Resource id and index."""

TAKEN = frozenset({"accepted", "duplicate"})
NOT_TAKEN = frozenset({"refused", "unavailable", "storage_full", "read_only", "busy"})
"""Answers that promise that nothing was stored."""
UNKNOWN = frozenset({"uncertain"})
"""Answers that promise nothing."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet whose output tells which packet it was."""

    resource_id: str
    index: int
    payload: str
    total: int | None = None
    last: bool = False

    @property
    def key(self) -> Key:
        return self.resource_id, self.index

    @property
    def output(self) -> list[int]:
        """What the processor makes of it: the length of each word."""
        return [len(word) for word in self.payload.split()]

    def as_json(self) -> bytes:
        members = {"resource_id": self.resource_id, "index": self.index, "payload": self.payload}
        return json.dumps(
            members | ({"last": True} if self.last else {}) | ({"total": self.total} if self.total else {})
        ).encode()


class History:
    """Everything that was sent, and the answers."""

    def __init__(self) -> None:
        self.sent: dict[Key, Packet] = {}
        self.acked: set[Key] = set()
        self.answers: Counter[str] = Counter()
        self.lost: set[Key] = set()
        """Packets that were taken as new although they had been acknowledged before."""
        self._repeated: set[Key] = set()  # of which no answer says that they are there, since that is asked
        self.contradictions: list[str] = []
        self.acks = Tripwire()

    def sending(self, packets: Iterable[Packet]) -> None:
        """Note *packets* before their first byte leaves."""
        self.sent.update((packet.key, packet) for packet in packets)

    def answered(self, key: Key, word: str) -> None:
        """Note the answer to one packet: the status of its receipt, or the code of a problem."""
        self.answers[word] += 1
        if key not in self.sent:
            self.contradictions.append(f"an answer to {key}, which was never sent")
        if word == "accepted" and key in self.acked:
            self.lost.add(key)
        if word not in NOT_TAKEN | UNKNOWN:
            self._repeated.discard(key)
        if word in TAKEN:
            self.acked.add(key)
            self.acks.touch()
        elif word not in NOT_TAKEN | UNKNOWN:
            self.contradictions.append(f"{key} was answered {word!r}")

    def repeat(self) -> None:
        """Begin to ask once more for all that was acknowledged."""
        self._repeated = {*self.acked}

    def unconfirmed(self) -> list[Packet]:
        """What was acknowledged, and has not been again since `repeat`."""
        return [self.sent[key] for key in sorted(self._repeated)]

    def unacknowledged(self) -> list[Packet]:
        """What a careful sender sends again."""
        return [packet for key, packet in self.sent.items() if key not in self.acked]


class Tripwire:
    """Does something at an exact point of progress, such as at the 40th acknowledgement."""

    def __init__(self) -> None:
        self._left = 0
        self._action: Callable[[], None] = lambda: None

    def set(self, count: int, action: Callable[[], None]) -> None:
        """Call *action* at the touch number *count* from now."""
        self._left, self._action = count, action

    def clear(self) -> None:
        """Do nothing."""
        self._left = 0

    def touch(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._action()


def workload(random: Random, name: str, *, resources: int, longest: int = 12, padding: int = 0) -> list[Packet]:
    """Packets of *resources* that are open at the same time, in no order: the last may come first.

    The end of a resource is told by the flag of its last packet, or by a total on any of them. *padding* is the
    length of one more word.
    """
    packets = []
    for number in range(resources):
        resource_id = f"{name}-{number}"
        total = random.randint(1, longest)
        teller = random.choice([None, *range(total)])
        packets += [
            Packet(
                resource_id,
                index,
                payload_of(resource_id, index, padding),
                total=total if index == teller else None,
                last=teller is None and index == total - 1,
            )
            for index in range(total)
        ]
    random.shuffle(packets)
    return packets


def payload_of(resource_id: str, index: int, padding: int = 0) -> str:
    """Text whose word lengths are the digits of a hash of the packet's key: no two packets look alike."""
    digits = f"{zlib.crc32(f'{resource_id}/{index}'.encode()):010}"
    return " ".join(["w" * (1 + int(digit)) for digit in digits] + ["p" * padding] * bool(padding))
