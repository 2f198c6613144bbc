"""Packets on their way into a ledger, by resource, and the way back to the order in which they came."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TypeVar

from collator.packet import Packet

T = TypeVar("T")

Group = Sequence[Packet]
"""Packets of one resource, in the order in which they came: the unit that is judged, stored and handed out."""


class Batch:
    """Packets in groups, resources in the order in which they first came."""

    __slots__ = ("_places", "groups", "size")

    def __init__(self, packets: Sequence[Packet]) -> None:
        """Group *packets*."""
        self.size = len(packets)
        """Packets."""
        self._places: list[list[int]] = []
        self.groups: list[Group] = [packets]
        if self.size == 1:
            return
        groups: dict[str | int, list[Packet]] = {}
        places: dict[str | int, list[int]] = {}
        for place, packet in enumerate(packets):
            if packet.resource_id in groups:
                groups[packet.resource_id].append(packet)
                places[packet.resource_id].append(place)
            else:
                groups[packet.resource_id], places[packet.resource_id] = [packet], [place]
        self.groups = [*groups.values()]
        self._places = [*places.values()]

    def in_order(self, answers: Sequence[T]) -> Sequence[T]:
        """Put *answers*, one for each packet in the order of the groups, into the order in which the packets came."""
        if len(self.groups) == 1:
            return answers
        ordered = [*answers]
        for place, answer in zip(chain.from_iterable(self._places), answers, strict=True):
            ordered[place] = answer
        return ordered
