"""Quantiles: of what was measured here, and out of the buckets that the service counts for Prometheus. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prometheus_client.parser import text_string_to_metric_families

Buckets = Mapping[float, float]
"""How many observations were at most so many seconds, for each upper bound."""


def quantile(values: Sequence[float], share: float) -> float:
    """The least of *values* that is not below *share* of them."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def buckets(metrics: str, name: str) -> Buckets:
    """The histogram *name* in *metrics*, the text that the service gives."""
    families = (family for family in text_string_to_metric_families(metrics) if family.name == name)
    samples = (sample for family in families for sample in family.samples if sample.name == f"{name}_bucket")
    return {float(sample.labels["le"]): sample.value for sample in samples}


def since(before: Buckets, after: Buckets) -> Buckets:
    """Return what was observed between the two."""
    return {bound: count - before.get(bound, 0.0) for bound, count in after.items()}


def interpolated(counts: Buckets, share: float) -> float | None:
    """The quantile *share* in seconds, as Prometheus estimates it: observations spread evenly within their bucket.

    `None` where nothing was observed. Beyond the last finite bound nothing is known, so that bound is given.
    """
    rank = share * max(counts.values(), default=0.0)
    if not rank:
        return None
    lower = below = 0.0
    for bound, count in sorted(counts.items()):
        if count >= rank:
            return lower if bound == float("inf") else lower + (bound - lower) * (rank - below) / (count - below)
        lower, below = bound, count
    return lower
