"""The shapes of the streams: how many packets a resource has, and how many resources are under way at once. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from bench.figures import HUNDRED_THOUSAND, ONE, PURGE, THOUSAND, WIDE

USUAL = 3000 * 20
"""Packets of a run where nobody says how many: what the shapes are for."""


class Shape(NamedTuple):
    """The resources of a stream."""

    resources: int
    packets: int
    """Of a resource."""
    at_once: int = 50

    def scaled(self, packets: int) -> Shape:
        """Return the same for a run of so many *packets* instead of the usual: fewer or more resources of that size.

        Where there is less than one of them left, it is smaller.
        """
        resources = self.resources * packets / USUAL
        if resources >= 1:
            return self._replace(resources=round(resources))
        return self._replace(resources=1, packets=max(1, round(self.packets * resources)))


SHAPES: Mapping[str, Shape] = {
    ONE: Shape(20_000, 1),
    THOUSAND: Shape(60, 1000),
    HUNDRED_THOUSAND: Shape(1, 100_000),
    WIDE: Shape(3000, 20, at_once=3000),
    PURGE: Shape(3000, 20),
}
