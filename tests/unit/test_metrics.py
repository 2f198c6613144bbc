"""The metrics keep to Prometheus' ways: a prefix, a unit, few labels, and no id in any of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric

from collator import __version__
from collator.metrics import Metrics

FAMILIES = [family for family in Metrics().registry.collect() if not family.name.startswith("process_")]
LABELS = {
    "status": "of a receipt",
    "cause": "of the end of a call, of which there are four",
    "code": "of a problem, of which there is a catalogue",
    "result": "of an attempt",
    "reason": "an outcome came too late",
    "state": "of resources or deliveries",
    "standby": "its name, of which there are 20 at most",
    "sync": "how a server calls the ways of replication",
    "endpoint": "its name, of which there are as many as are configured",
}
COUNTS = ("packets", "attempts", "calls", "dropped", "hedges", "closed", "items", "lost", "refused")
"""What is counted and has no unit: the thing itself is the last word of the name."""


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_name_has_the_prefix_and_where_it_measures_a_unit(family: Metric) -> None:
    assert family.name.startswith("collator_")
    if family.type == "histogram":
        assert family.name.endswith(("_seconds", "_bytes", "_items"))
    if family.type == "counter":
        assert family.name.endswith(COUNTS)
    assert family.documentation


def test_no_label_can_have_many_values() -> None:
    collectors = Metrics().registry._collector_to_names
    labels = {label for collector in collectors for label in getattr(collector, "_labelnames", ())}
    assert labels <= {*LABELS}


def test_what_an_operator_watches_is_there() -> None:
    names = {family.name for family in FAMILIES}
    assert names >= {
        "collator_backlog_bytes",
        "collator_resources",
        "collator_deliveries",
        "collator_loop_lag_seconds",
        "collator_commit_seconds",
        "collator_commit_items",
        "collator_streams",
        "collator_connections",
        "collator_requests_in_flight",
        "collator_log_lines_lost",
    }


def test_what_runs_is_said_and_no_time_at_which_a_counter_was_made() -> None:
    text = Metrics().text().decode()
    assert f'version="{__version__}"' in text
    assert "\nprocess_resident_memory_bytes " in text or not Path("/proc/self/stat").exists()
    assert "_created" not in text


def test_a_commit_is_counted_with_its_time_and_its_size() -> None:
    metrics = Metrics()
    metrics.committed(0.004, 300)
    text = metrics.text().decode()
    assert "collator_commit_seconds_count 1.0" in text
    assert "collator_commit_items_sum 300.0" in text
