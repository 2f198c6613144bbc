"""Histograms that one thread fills, without the locks of the library: one call an observation instead of seven."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector


class Distribution:
    """The counts of observations up to each of some bounds, and their sum. `observe` belongs to one thread."""

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        """Count by *bounds*, which ascend, and what is above them all."""
        self._bounds = bounds
        self.counts, self.sum = [0] * (len(bounds) + 1), 0.0

    def observe(self, value: float) -> None:
        """Count *value*."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.sum += value


class Distributions(Collector):
    """A histogram of Prometheus, with a distribution for each combination of its labels."""

    def __init__(self, name: str, what: str, bounds: Sequence[float], labels: Sequence[str] = ()) -> None:
        """Declare it; without *labels* it has one distribution from the start."""
        self._name, self._what, self._bounds, self._labelnames = name, what, bounds, labels
        self._found: dict[tuple[str, ...], Distribution] = {} if labels else {(): Distribution(bounds)}

    def labels(self, *values: str) -> Distribution:
        """The distribution of these *values*."""
        return self._found.setdefault(values, Distribution(self._bounds))

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """The histogram of this moment. From any thread."""
        family = HistogramMetricFamily(self._name, self._what, labels=self._labelnames)
        bounds = [*[str(float(bound)) for bound in self._bounds], "+Inf"]
        for values, one in [*self._found.items()]:
            family.add_metric(values, [*zip(bounds, accumulate(map(float, one.counts)), strict=True)], one.sum)
        yield family
