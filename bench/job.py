"""The job that is measured: which packets are sent, as bytes that need no more work, and what must come of them. Pure.

Resources of the same size, fifty under way at a time, their packets in random order from a seed. Every payload is the
same sentence, so that runs can be compared; before each run a few resources with payloads that all differ show that
outputs are collated in order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from collator.cli.packet_plan import Plan

PAYLOAD = "the quick brown fox jumps over the lazy dog"
_POST = b"POST /v1/packets HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n"


class Load(NamedTuple):
    """Packets, and what must come of them."""

    packets: Sequence[bytes]
    """One JSON object each, in the order in which they are sent."""
    outputs: Mapping[str, Sequence[Any]]
    """The outputs of each resource, in index order."""

    def requests(self) -> list[bytes]:
        """A request for each packet."""
        return [_POST % (b"application/json", len(packet)) + packet for packet in self.packets]

    def lines(self) -> bytes:
        """All packets, one a line."""
        return b"\n".join([*self.packets, b""])

    def stream(self) -> bytes:
        """One request with all packets."""
        lines = self.lines()
        return _POST % (b"application/x-ndjson", len(lines)) + lines


def load(seed: int, resources: int, packets: int, *, payload: str | None = PAYLOAD, at_once: int = 50) -> Load:
    """*resources* of *packets* each, in the order of *seed*; without *payload* each packet has its own."""
    plan = Plan(seed, resources, (packets, packets), at_once=at_once)
    outputs: dict[str, list[Any]] = {name: [None] * packets for name in plan.sizes()}
    encoded = []
    for step in plan.steps():
        packet = step.packet if payload is None else step.packet | {"payload": payload}
        outputs[packet["resource_id"]][packet["index"]] = [len(word) for word in packet["payload"].split(" ")]
        encoded.append(msgspec.json.encode(packet))
    return Load(encoded, outputs)


def faults(load: Load, bodies: Sequence[bytes]) -> Iterator[str]:
    """Yield what is wrong with the *bodies* that came of *load*, all of them looked at; nothing where all is well."""
    data = [_data(body) for body in bodies]
    counts = Counter(str(one.get("resource_id")) for one in data)
    missing = load.outputs.keys() - counts.keys()
    if missing:
        yield f"{len(missing)} of {len(load.outputs)} webhooks did not come, that of {min(missing)} for one"
    repeated = [name for name, count in counts.items() if count > 1]
    if repeated:
        yield f"{len(repeated)} webhooks came more than once, that of {repeated[0]} for one"
    wrong = [one for one in data if one != _expected(load, one)]
    if wrong:
        yield f"{len(wrong)} bodies are not what they must be, for one: {str(wrong[0])[:200]}"


def _expected(load: Load, data: Mapping[str, Any]) -> Mapping[str, Any] | None:
    outputs = load.outputs.get(str(data.get("resource_id")))
    if outputs is None:
        return None
    return {
        "resource_id": data["resource_id"],
        "completed_by": "last",
        "total": len(outputs),
        "metadata": {},
        "outputs": outputs,
    }


def _data(body: bytes) -> Mapping[str, Any]:
    try:
        whole = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return {"not JSON": body}
    collated = isinstance(whole, dict) and whole.get("type") == "resource.collated"
    data = whole.get("data") if collated else None
    return data if isinstance(data, dict) else {"not collated": whole}
