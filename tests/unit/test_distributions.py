"""Histograms of our own say what those of the library say."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Histogram, generate_latest

from collator.distributions import Distributions

BOUNDS = (0.0001, 0.05, 0.1, 1, 15, 60)
VALUES = (0.0, 0.0001, 0.00010001, 0.05, 0.3, 1, 1.5, 60.0, 60.1, 1e6)


def lines(registry: CollectorRegistry) -> list[str]:
    return [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]


def test_a_distribution_is_told_as_a_histogram_of_the_library() -> None:
    theirs, ours = CollectorRegistry(), CollectorRegistry()
    for name, labels in (("plain_seconds", ()), ("labelled_seconds", ("endpoint", "kind"))):
        histogram = Histogram(name, "What it is", labels, buckets=BOUNDS, registry=theirs)
        distributions = Distributions(name, "What it is", BOUNDS, labels)
        ours.register(distributions)
        for values in [("a", "b"), ('say "c"', "d")] if labels else [()]:
            for value in VALUES:
                (histogram.labels(*values) if values else histogram).observe(value)
                distributions.labels(*values).observe(value)
    assert lines(ours) == lines(theirs)
    assert len(lines(ours)) > 2 * len(BOUNDS)
