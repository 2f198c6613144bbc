"""The record of what was sent and delivered, out of reach of every kill, and its invariants. No I/O.

It knows nothing of the service but its promises: what was acknowledged is delivered (P1), whole and in order (P3),
under one id with one body (P4). A packet that was in work at too many deaths may have failed, with that reason (P2).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

DEATHS = "the process died"
"""What the reason of a packet begins with that was in work, alone, when the process died, too often."""


class Checker:
    """Sees every packet that is sent, and every webhook that comes."""

    def __init__(self) -> None:
        """Nothing has happened yet."""
        self.complaints: list[str] = []
        self.delivered: set[str] = set()
        """The resources of which a webhook was taken."""
        self.repeats = 0
        self.unlucky = 0
        """Packets that failed as the process died while they were in work."""
        self._sent: dict[str, dict[int, list[int]]] = {}
        self._bodies: dict[str, bytes] = {}
        self._ids: dict[str, str] = {}

    def sends(self, packet: Mapping[str, Any]) -> None:
        """*packet* is about to be sent."""
        lengths = [len(word) for word in packet["payload"].split(" ")]
        self._sent.setdefault(packet["resource_id"], {})[packet["index"]] = lengths

    def sees(self, webhook_id: str, body: bytes, *, taken: bool) -> None:
        """A webhook has come, properly signed; *taken* says whether its sender is told so."""
        data = json.loads(body)["data"]
        resource_id = data["resource_id"]
        if webhook_id in self._bodies:
            self.repeats += 1
            if self._bodies[webhook_id] != body:
                self.complaints.append(f"{resource_id} was delivered with two bodies")
        else:
            self._bodies[webhook_id] = body
            self._judge(data, webhook_id)
        if taken:
            self.delivered.add(resource_id)

    def _judge(self, data: Mapping[str, Any], webhook_id: str) -> None:
        resource_id = data["resource_id"]
        if self._ids.setdefault(resource_id, webhook_id) != webhook_id:
            self.complaints.append(f"{resource_id} was delivered under two ids")
        self.unlucky += len(data.get("failed", ()))
        self.complaints += [f"{resource_id}: {wrong}" for wrong in _wrong(data, self._sent.get(resource_id, {}))]

    @property
    def undelivered(self) -> list[str]:
        """The resources of which no webhook was taken."""
        return [resource_id for resource_id in self._sent if resource_id not in self.delivered]


def _wrong(data: Mapping[str, Any], sent: Mapping[int, list[int]]) -> Iterator[str]:
    """Yield what is wrong with *data*, which was delivered, where *sent* was sent."""
    whole = "outputs" in data
    outputs = list(enumerate(data["outputs"])) if whole else [(one["index"], one["output"]) for one in data["partial"]]
    failed = [] if whole else data["failed"]
    known = [index for index, _ in outputs]
    if known != sorted(known):
        yield "its outputs are not in order"
    if sorted([*known, *(one["index"] for one in failed)]) != sorted(sent):
        yield f"it has {len(known)} outputs and {len(failed)} failures, {len(sent)} packets were acknowledged"
    yield from (f"index {index} has not its own output" for index, output in outputs if sent.get(index) != output)
    yield from (f"index {one['index']} failed: {one['reason']}" for one in failed if DEATHS not in one["reason"])
