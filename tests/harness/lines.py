"""What lines hold, one by one and in order: a packet or a fault for each that is not blank."""

from __future__ import annotations

from collator import wire
from collator.errors import Malformed
from collator.packet import Packet, PacketLimits


def decode_lines(data: bytes, packet_limits: PacketLimits) -> list[Packet | Malformed]:
    found = wire.decode_lines(data, packet_limits)
    faults = [*wire.explain_lines(data, found.places, packet_limits)]
    assert len(faults) == found.malformed
    both: list[tuple[int, Packet | Malformed]] = [*zip(found.places, found.packets, strict=True), *faults]
    return [what for _, what in sorted(both, key=lambda item: item[0])]
